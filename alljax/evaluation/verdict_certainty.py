"""The findings of a verdict on how sure a model is: its confidence, its calibration, its answers."""

from alljax.evaluation import intervals
from alljax.evaluation.formatting import percent
from alljax.evaluation.slides import KNOWN
from alljax.evaluation.verdict_facts import SMALL_SHARE, Facts, Sentence
from alljax.storage.calibration_record import ANSWERS, OF_FOLDS, TEMPERATURE

CONFIDENT, FEWEST_CONFIDENT = 0.9, 20
DOUBTFUL = 0.05  # calibration error from which probabilities are not to be taken at their word
REFUSED = 'refused calibration', 'refused answers'  # kinds of sentences that a terminal always shows


def confidence(known: Facts) -> Sentence | None:
    """The share of right answers among confident ones; the mean confidence where few are confident."""
    sure, right = known.predictions.confidence, known.predictions.right
    if sure is None:
        return None
    chosen = sure >= CONFIDENT
    count = int(chosen.sum())
    if count < FEWEST_CONFIDENT:
        return _mean_confidence(known, float(sure.mean()))
    share, expected = float(right[chosen].mean()), float(sure[chosen].mean())
    noun = 'predictions' if known.predictions.repeats > 1 else 'cells'
    before = ' before calibration' * _calibrated_later(known)
    said = f'Confidence {CONFIDENT} or more{before} is right {percent(share)} of the time ({count:,} {noun})'
    most = intervals.wilson(int(right[chosen].sum()), count, repeats=known.predictions.repeats)[1]
    if share < expected - 0.05 and most < expected:
        return Sentence('confidence', f'{said}: it promises more than it holds.', 'bad' if share < 0.8 else 'warn')
    if abs(share - expected) <= 0.05 and known.new_slides:
        return Sentence('confidence', f'{said}: it can be taken at its word.', 'good')
    return None


def _mean_confidence(known: Facts, mean: float) -> Sentence | None:
    gap, n = mean - known.test['accuracy'], known.test['n']
    if abs(gap) <= 0.1 or n < FEWEST_CONFIDENT:
        return None
    before = ' before calibration' * _calibrated_later(known)
    said = f'It is {percent(mean, n)} sure on average{before} and right in {percent(known.test["accuracy"], n)}'
    return Sentence('confidence', f'{said}: it promises {"more than it holds" if gap > 0 else "too little"}.', 'warn')


def _calibrated_later(known: Facts) -> bool:
    """True where the probabilities are those of the folds, and the model that is kept was calibrated by them."""
    found = known.results.get('calibration', {})
    return found.get('source') == OF_FOLDS and TEMPERATURE not in found.get('refused', ())


def refused_temperature(known: Facts) -> Sentence | None:
    """A temperature that was measured on some folds and does harm on the others, so that none is kept."""
    found = known.results.get('calibration', {})
    if TEMPERATURE not in found.get('refused', ()):
        return None
    error, losses = found['judged']['error'], found['judged']['log_loss']
    harm = f'calibration error of others from {percent(error[0])} to {percent(error[1])}'
    if error[1] <= error[0]:
        harm = f'log loss of others from {losses[0]:.2f} to {losses[1]:.2f}'
    doubt = ': do not take them at their word' if error[0] > DOUBTFUL else ''
    return Sentence(
        REFUSED[0],
        f'Calibration is refused: measured on some slides, it takes the {harm}. The probabilities stay as they come'
        f'{doubt}.',
        'warn',
    )


def calibration_error(known: Facts) -> Sentence | None:
    """The calibration error of the folds before and after the calibration that the kept model has."""
    if not _calibrated_later(known):
        return None
    test = known.results['calibration']['test']
    before, after = test['error_before'], test['error_after']
    said = f'Calibration by the other folds takes the calibration error from {percent(before)} to {percent(after)}'
    if after > before:
        return Sentence('calibration', f'{said}: do not trust the probabilities of so few slides.', 'warn')
    return Sentence('calibration', f'{said}.', 'plain')


def certainty(known: Facts) -> Sentence | None:
    """The answers of a calibrated model, and how many of them are right."""
    whole = known.results.get('calibration')
    if not whole:
        return None
    test, n = whole.get('test', whole), known.test['n']
    if ANSWERS in whole.get('refused', ()):
        slides = 'slides' if known.grouping == KNOWN else 'groups of cells'
        return Sentence(
            REFUSED[1],
            f'Too few {slides} to promise {percent(whole["accuracy"])} right answers: it calls every new cell '
            'uncertain, and names its most probable class.',
            'bad',
        )
    if whole.get('source') == OF_FOLDS and 'certain' in whole and whole['certain'] is None:
        return Sentence(
            'certainty',
            f'No confidence is right in {percent(whole["accuracy"])} of the cells: it calls every new cell uncertain, '
            'and names its most probable class.',
            'bad',
        )
    if test['accuracy_of_answered'] is None:
        return Sentence(
            'certainty', 'It calls every test cell uncertain: it has no confidence that it can trust.', 'bad'
        )
    wanted = whole.get('accuracy')
    tone = 'plain' if wanted is None else 'good' if test['accuracy_of_answered'] >= wanted - 0.02 else 'warn'
    asked = '' if wanted is None else f' ({percent(wanted)} was asked)'
    return Sentence(
        'certainty',
        f'It answers {percent(test["answered"], n)} of the cells and is right in '
        f'{percent(test["accuracy_of_answered"], n)} of these{asked}; the others it calls uncertain.',
        tone,
    )


def unlike(known: Facts) -> Sentence | None:
    """Test cells that many of which are unlike the training cells."""
    found = known.results.get('unlike', {})
    share = found.get('share_of_test_cells', 0)
    if share <= SMALL_SHARE:
        return None
    said = (
        f'{percent(share, known.test["n"])} of the test cells look unlike the training cells ({found["score"]} score).'
    )
    return Sentence('unlike', said, 'warn')
