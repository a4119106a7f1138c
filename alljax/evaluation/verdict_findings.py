"""The findings of a verdict: a function for each sentence, which gives it only where the numbers say so."""

from collections.abc import Callable

import numpy as np

from alljax.evaluation import intervals
from alljax.evaluation.formatting import interval, percent
from alljax.evaluation.slides import KNOWN, counted, worst
from alljax.evaluation.verdict_certainty import calibration_error, certainty, confidence, refused_temperature, unlike
from alljax.evaluation.verdict_facts import SMALL_SHARE, Facts, Sentence, listed

LEARNED, LEARNED_PARTLY = 0.3, 0.15  # between training and test accuracy
CARRIES_OVER = 0.05
FEW_SLIDES = 3  # of a class, at most, for its number to mean little
WORSE = 1.25  # their share of the errors over their share of the cells
FEWEST_SLIDES = 5  # of which a few may be told apart as the worst
FEWEST_ERRORS = 10  # whose spread over slides or classes says something
WIDE = 0.2  # of an interval
CONFUSED = 0.25  # of all errors that two classes make with each other


def accuracy(known: Facts) -> Sentence:
    """The accuracy with the interval to quote: over slides where they are known, and never without its doubts."""
    test, bounds = known.test, known.test['accuracy_ci95']
    share, n = percent(test['accuracy'], test['n']), test['n']
    cells, slides, repeats = known.predictions.cells, len(known.slides), known.predictions.repeats
    times = f', each tested {repeats} times,' if repeats > 1 else ''
    right = f'{share} of {cells:,} test cells{times} are right'
    if known.leaky:
        return Sentence(
            'accuracy',
            f'{right}, but the split ({known.results["split"]["protocol"]}) leaks: cells of one slide, or copies of '
            'one cell, can be on both sides. Expect less of a new slide.',
            'bad',
        )
    grouped = bounds['bootstrap_groups']
    if known.grouping != KNOWN:
        return Sentence('accuracy', f'{right}{_doubtful(known)}', 'warn')
    right = f'{share} of {cells:,} cells on {slides} new slides{times} are right'
    if not grouped:
        return Sentence(
            'accuracy',
            f'{share} of {cells:,} test cells are right, all of one slide: nothing is known of the variation between '
            'slides.',
            'bad',
        )
    if grouped[0] == grouped[1]:
        return Sentence(
            'accuracy',
            f'{right}; no slide differs from another, so an interval over slides cannot be had (as if every cell were '
            f'independent: {interval(bounds["wilson"], n)}).',
            'warn' if slides < 2 * FEWEST_SLIDES else 'plain',
        )
    wide = grouped[1] - grouped[0] > WIDE
    ending = ', which is wide' if wide else ''
    return Sentence(
        'accuracy',
        f'{right}; 95% interval over slides {interval(grouped, n)}{ending}: quote both.',
        'warn' if wide else 'plain',
    )


def _doubtful(known: Facts) -> str:
    """The interval of a split without slides, and its doubt."""
    bounds, n = known.test['accuracy_ci95'], known.test['n']
    if known.grouping == '':
        return (
            f'; 95% interval over groups {interval(intervals.quoted(bounds), n)}; this run does not say what these are.'
        )
    doubt = 'No slides are named, so nobody knows how much of this is the slide and not the cell.'
    if known.grouping == 'repeats only':
        quoted = interval(intervals.quoted(bounds), n)
        return f'; 95% interval, repeats of a cell kept together, {quoted}. {doubt}'
    return f' ({interval(bounds["wilson"], n)} if each cell were independent). {doubt}'


def fold(known: Facts) -> Sentence | None:
    """A single fold, whose number is not that of the cross-validation."""
    split = known.results['split']
    if split.get('folds', 1) < 2 or 'cross_validation' in known.results:
        return None
    told = f'This is fold {split["fold"] + 1} of {split["folds"]} (split.fold={split["fold"]})'
    return Sentence('fold', f'{told}: the number to quote is that of all of them together.', 'plain')


def seen_before(known: Facts) -> Sentence | None:
    """A network that was trained on the tested set before this run."""
    name = known.results.get('pretraining', {}).get('test_set')
    if not name:
        return None
    said = (
        f'The network was trained on {name} before this run, so it may know the test cells: the numbers are too high.'
    )
    return Sentence('seen before', said, 'bad')


def chance(known: Facts) -> Sentence | None:
    """An accuracy that always giving the most frequent class may reach; of a single tested class nobody can tell."""
    counts = known.matrix.sum(1)
    share, name = counts.max() / counts.sum(), known.classes[int(counts.argmax())]
    if intervals.quoted(known.test['accuracy_ci95'])[0] > share or np.count_nonzero(counts) < 2:
        return None
    said = percent(share, known.test['n'])
    return Sentence(
        'chance', f'That may be no better than no model at all: always answering {name} is right in {said}.', 'bad'
    )


def training(known: Facts) -> Sentence | None:
    """The accuracy on training cells against that on test cells, where they are far apart or alike."""
    trained, test = known.training_accuracy, known.test
    if trained is None:
        return None
    gap, high = trained - test['accuracy'], intervals.quoted(test['accuracy_ci95'])[1]
    place = 'cells of new slides' if known.new_slides else 'test cells'
    augmented = 'epochs' in known.results['train']  # of a network, whose accuracy is that of its steps, dropout and all
    seen = (
        ' while learning'
        if augmented
        else ', on average over its members' * bool(known.results['model'].get('members'))
    )
    both = f'{percent(trained, test["n"])} on training cells{seen}, {percent(test["accuracy"], test["n"])} on {place}'
    if gap >= LEARNED_PARTLY and trained > high:
        what = 'the slides' if known.new_slides else 'its training cells by heart'
        partly = '' if gap >= LEARNED else 'partly '
        return Sentence('training', f'{both}: it {partly}learned {what}.', 'bad')
    if (
        abs(gap) <= CARRIES_OVER
        and not augmented
        and known.new_slides
        and np.count_nonzero(known.matrix.sum(1)) > 1
        and chance(known) is None
    ):
        return Sentence('training', f'{both}: what it learned carries over to new slides.', 'good')
    return None


def never_predicted(known: Facts) -> Sentence | None:
    """Classes that no cell is given, though some have them."""
    matrix = known.matrix
    never = [name for name, own, given in zip(known.classes, matrix.sum(1), matrix.sum(0), strict=True)
             if own and not given]  # fmt: skip
    if not never:
        return None
    ending = 'is never predicted: all its cells get another class.'
    if len(never) > 1:
        ending = 'are never predicted: all their cells get another class.'
    return Sentence('never predicted', f'{listed(never)} {ending}', 'bad')


def worst_slides(known: Facts) -> Sentence | None:
    """A small share of the slides that makes half of the errors."""
    total = sum(slide.wrong for slide in known.slides)
    chosen = worst(known.slides)
    few = len(chosen) <= SMALL_SHARE * len(known.slides)
    if known.grouping != KNOWN or not few or len(known.slides) < FEWEST_SLIDES or total < FEWEST_ERRORS:
        return None
    wrong, share = sum(slide.wrong for slide in chosen), sum(slide.cells for slide in chosen) / known.predictions.cells
    if wrong / total < WORSE * share:
        return None
    verb = 'makes' if len(chosen) == 1 else 'make'
    return Sentence(
        'worst slides',
        f'{len(chosen)} of {len(known.slides)} slides {verb} {counted(wrong)} of {counted(total)} errors, with '
        f'{percent(share)} of the cells: {listed([slide.name for slide in chosen], 6)}.',
        'warn',
    )


def few_slides(known: Facts) -> Sentence | None:
    """Classes that were tested on few slides."""
    if known.grouping != KNOWN:
        return None
    found = {name: known.slides_of(name) for name in known.classes}
    few = {name: count for name, count in sorted(found.items(), key=lambda item: item[1]) if count <= FEW_SLIDES}
    if not few:
        return None
    if len(few) == len(known.classes):
        most = max(few.values())
        told = f'No class was tested on more than {most} slide{"s" * (most != 1)}: the number of each means little.'
        return Sentence('few slides', told, 'warn')
    told = listed([f'{name} {count} slide{"s" * (count != 1)}' if count else f'{name} none'
                   for name, count in few.items()])  # fmt: skip
    ending = 'its number means' if len(few) == 1 else 'their numbers mean'
    return Sentence('few slides', f'Classes with few test slides: {told}; {ending} little.', 'warn')


def confused(known: Facts) -> Sentence | None:
    """The two classes that are taken for each other most, where they make a large share of the errors."""
    wrong = known.matrix - np.diag(known.matrix.diagonal())
    both, total = wrong + wrong.T, wrong.sum()
    first, second = np.unravel_index(np.triu(both).argmax(), both.shape)
    if len(known.classes) < 3 or total < FEWEST_ERRORS or both[first, second] < CONFUSED * total:
        return None
    names = f'{known.classes[first]} and {known.classes[second]}'
    said = f'{both[first, second]:,} of {total:,} errors take {names} for each other.'
    return Sentence('confused', said, 'plain')


def undersampling(known: Facts) -> Sentence | None:
    """The cells that undersampling took from training."""
    counts = [count for count in known.results['split'].get('train_counts', {}).values() if count]
    if known.results.get('train', {}).get('equalize') != 'undersample' or not counts:
        return None
    left, most, total = min(counts), max(counts), sum(counts)
    if left * len(counts) > (1 - SMALL_SHARE) * total:
        return None
    said = f'Undersampling left {left:,} of up to {most:,} training cells a class, {left * len(counts):,} of {total:,}.'
    return Sentence('undersampling', said, 'warn')


FINDINGS: tuple[Callable[[Facts], Sentence | None], ...] = (  # the most important first
    accuracy, fold, seen_before, chance, training, never_predicted, worst_slides, few_slides, confidence,
    refused_temperature, calibration_error, certainty, undersampling, confused, unlike,
)  # fmt: skip
