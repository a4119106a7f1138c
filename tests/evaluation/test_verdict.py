"""Each sentence of the verdict: on a made case where it must stand, and on one where it must not."""

from functools import cache

import numpy as np
import pytest

from alljax.evaluation import intervals, metrics, page_template, verdict
from alljax.evaluation.verdict_facts import listed
from alljax.storage.calibration_record import OF_FOLDS

CLASSES = ('a', 'b', 'c')
SURE = 0.6  # confidence of made rows


def rows_of(*parts, repeats=1):
    """Rows of (slide, class, prediction, number of cells[, confidence])."""
    rows = []
    for repeat in range(repeats):
        for number, (slide, label, prediction, count, *sure) in enumerate(parts):
            share = sure[0] if sure else SURE
            for cell in range(count):
                chances = {f'probability_{name}': f'{(1 - share) / 2:.6f}' for name in CLASSES}
                chances[f'probability_{prediction}'] = f'{share:.6f}'
                known = {
                    'file': f'{slide}-{number}-{cell}.png',
                    'group': slide,
                    'label': label,
                    'prediction': prediction,
                }
                rows.append({**known, **chances, **({'fold': '0', 'repeat': str(repeat)} if repeats > 1 else {})})
    return rows


@cache
def scored(cells):
    """The `test` part of results.json that a verdict reads, of (slide, class, prediction) of each cell."""
    place = {name: number for number, name in enumerate(CLASSES)}
    slides, labels, predicted = zip(*cells, strict=True)
    labels, predicted = (np.array([place[name] for name in names]) for names in (labels, predicted))
    right, groups = labels == predicted, np.unique(slides, return_inverse=True)[1]
    wilson = intervals.wilson(int(right.sum()), len(right))
    grouped = intervals.accuracy_bootstrap(right, groups.astype(int))
    found = metrics.scores(metrics.confusion(labels, predicted, len(CLASSES)), CLASSES)
    return {'n': len(right), **found, 'accuracy_ci95': {'wilson': wilson, 'bootstrap_groups': grouped}}


def results_of(rows, *, grouping='patient or slide', leaky=False, **more):
    return {
        'data': {'grouping': grouping, 'synthetic': False},
        'split': {'leaky': leaky, 'protocol': 'random' if leaky else 'grouped'},
        'test': scored(tuple((row['group'], row['label'], row['prediction']) for row in rows)),
        'model': {'name': 'alexnet'},
        **more,
    }


def slides(count, wrong=1, right=9, sure=SURE):
    """Slides of one class each, class by class, with as many wrong cells and right ones."""
    made = []
    for number in range(count):
        own, other = CLASSES[number % 3], CLASSES[(number + 1) % 3]
        made += [(f's{number}', own, own, right, sure), (f's{number}', own, other, wrong + number % 2, sure)]
    return rows_of(*(part for part in made if part[3]))


GOOD = slides(15)


def said(rows, **more):
    """The sentences by kind."""
    return {one.kind: one for one in verdict.sentences(results_of(rows, **more), rows)}


def test_the_accuracy_comes_with_the_interval_over_slides():
    first = verdict.sentences(results_of(GOOD), GOOD)[0]
    low, high = results_of(GOOD)['test']['accuracy_ci95']['bootstrap_groups']
    assert first.kind == 'accuracy'
    assert first.text == (
        f'86.0% of 157 cells on 15 new slides are right; 95% interval over slides {100 * low:.1f}% to '
        f'{100 * high:.1f}%: quote both.'
    )
    assert first.tone == 'plain'


@pytest.mark.parametrize('grouping', ['patient or slide', 'repeats only', 'unknown', ''])
def test_wilson_is_quoted_only_where_groups_are_unknown(grouping):
    found = results_of(GOOD, grouping=grouping)
    text = said(GOOD, grouping=grouping)['accuracy'].text
    wilson = f'{100 * found["test"]["accuracy_ci95"]["wilson"][0]:.1f}%'
    assert (wilson in text) is (grouping == 'unknown')
    assert ('nobody knows how much of this is the slide' in text) is (grouping in ('unknown', 'repeats only'))
    assert ('name slides' in said(GOOD, grouping=grouping)) is (grouping != 'patient or slide')


def test_a_wide_interval_asks_for_every_slide():
    rows = rows_of(
        ('s1', 'a', 'a', 20), ('s2', 'b', 'b', 9), ('s2', 'b', 'a', 9), ('s3', 'c', 'a', 9), ('s3', 'c', 'c', 1)
    )
    found = said(rows)
    assert found['accuracy'].tone == 'warn'
    assert 'which is wide' in found['accuracy'].text
    assert 'test every slide' in found
    folds = {'cross_validation': {'folds': []}}
    assert 'test every slide' not in said(rows, **folds)
    assert 'which is wide' not in said(GOOD)['accuracy'].text
    assert 'test every slide' not in said(GOOD)


def test_slides_without_any_variation_and_a_single_slide():
    rows = rows_of(*((f's{number}', CLASSES[number % 3], CLASSES[number % 3], 10) for number in range(12)))
    assert 'no slide differs from another' in said(rows)['accuracy'].text
    assert 'independent: 96.9% to 100.0%' in said(rows)['accuracy'].text
    alone = rows_of(('s1', 'a', 'a', 20), ('s1', 'b', 'b', 9))
    assert 'all of one slide' in said(alone)['accuracy'].text
    assert '%' not in said(alone)['accuracy'].text.removeprefix('100.0%')


def test_repetitions_count_a_cell_once():
    parts = [(f's{number}', CLASSES[number % 3], CLASSES[number * 2 % 3], 4) for number in range(15)]
    text = said(rows_of(*parts, repeats=3))['accuracy'].text
    assert 'of 60 cells on 15 new slides, each tested 3 times, are right' in text
    assert 'times' not in said(rows_of(*parts))['accuracy'].text


def test_a_leaky_split_is_no_number_for_new_slides():
    found = said(GOOD, leaky=True)
    assert found['accuracy'].text == (
        '86.0% of 157 test cells are right, but the split (random) leaks: cells of one slide, or copies of one cell, '
        'can be on both sides. Expect less of a new slide.'
    )
    assert found['accuracy'].tone == 'bad'
    assert 'split by slide' in found
    assert 'leaks' not in said(GOOD)['accuracy'].text
    assert 'split by slide' not in said(GOOD)


def test_a_fold_says_that_it_is_one():
    found = results_of(GOOD)
    found['split'] |= {'folds': 5, 'fold': 2}
    kinds = {one.kind: one.text for one in verdict.sentences(found, GOOD)}
    assert 'fold 3 of 5 (split.fold=2)' in kinds['fold']
    assert 'fold' not in {one.kind for one in verdict.sentences({**found, 'cross_validation': {}}, GOOD)}
    assert 'fold' not in said(GOOD)


def test_a_network_that_has_seen_the_tested_set():
    seen = {'source': 'Acevedo', 'test_set': 'Acevedo', 'cells': ['Acevedo']}
    assert 'trained on Acevedo before' in said(GOOD, pretraining=seen)['seen before'].text
    assert 'seen before' not in said(GOOD, pretraining={**seen, 'test_set': ''})


def test_no_better_than_the_most_frequent_class():
    mixed = rows_of(*((f's{number}', CLASSES[number % 3], CLASSES[number // 3 % 3], 5) for number in range(12)))
    assert said(mixed)['chance'].text == (
        'That may be no better than no model at all: always answering a is right in 33.3%.'
    )
    assert 'chance' not in said(GOOD)
    one_class = rows_of(*((f's{number}', 'a', 'a', 9) for number in range(12)))
    assert 'chance' not in said(one_class)  # any number is below that of its only class


def test_training_against_new_slides():
    rows = slides(15, wrong=6, right=3)
    learned = said(rows, train={'accuracy': 1.0})['training']
    assert learned.text.startswith('100.0% on training cells, 3')
    assert learned.text.endswith('% on cells of new slides: it learned the slides.')
    assert 'recipe' in said(rows, train={'accuracy': 1.0})
    assert 'while learning' in said(rows, train={'accuracy': 1.0, 'epochs': 3})['training'].text
    assert said(rows, train={'accuracy': 1.0}, leaky=True)['training'].text.endswith(
        'on test cells: it learned its training cells by heart.'
    )
    partly = said(slides(15, wrong=1, right=4), train={'accuracy': 0.97})
    assert partly['training'].text.endswith('it partly learned the slides.')
    assert 'training' not in said(GOOD, train={'accuracy': 0.96})
    assert 'training' not in said(rows)  # of an earlier release
    assert 'recipe' not in said(GOOD, train={'accuracy': 0.96})


def test_what_carries_over_is_said_where_training_was_measured_as_it_is():
    good = said(GOOD, train={'accuracy': 0.88})['training']
    assert (good.tone, good.text) == (
        'good', '88.0% on training cells, 86.0% on cells of new slides: what it learned carries over to new slides.'
    )  # fmt: skip
    assert 'training' not in said(GOOD, train={'accuracy': 0.88, 'epochs': 9})
    assert 'training' not in said(GOOD, train={'accuracy': 0.88}, leaky=True)


def test_classes_that_are_never_predicted():
    rows = rows_of(*((f's{number}', CLASSES[number % 3], 'a', 5) for number in range(12)))
    assert said(rows)['never predicted'].text == 'b and c are never predicted: all their cells get another class.'
    assert 'never predicted' not in said(GOOD)


def test_few_slides_that_make_half_of_the_errors():
    rows = GOOD + rows_of(('HF-M-8', 'a', 'c', 20), ('L-8', 'b', 'c', 15))
    found = said(rows)
    assert found['worst slides'].text == (
        '2 of 17 slides make 35 of 57 errors, with 18.2% of the cells: HF-M-8 and L-8.'
    )
    assert 'HF-M-8 and L-8' in found['look at slides'].text
    for other in (said(GOOD), said(rows, grouping='unknown')):
        assert 'worst slides' not in other
        assert 'look at slides' not in other
    large = GOOD + rows_of(('s99', 'a', 'c', 30), ('s99', 'a', 'a', 270))  # as many errors as its cells would have
    assert 'worst slides' not in said(large)


def test_a_class_with_few_slides():
    rows = rows_of(*((f's{number}', 'ab'[number % 2], 'ab'[number % 2], 5 + number) for number in range(12)),
                   ('s20', 'c', 'c', 30), ('s21', 'c', 'a', 4))  # fmt: skip
    found = said(rows)
    assert found['few slides'].text == 'Classes with few test slides: c 2 slides; its number means little.'
    assert found['more slides'].text.startswith('Collect more slides, of c first')
    assert 'few slides' not in said(rows, grouping='unknown')
    assert 'more slides' not in said(rows, grouping='unknown')
    assert 'few slides' not in said(GOOD)
    assert said(slides(3))['few slides'].text == (
        'No class was tested on more than 1 slide: the number of each means little.'
    )


def test_the_class_that_is_recognized_worst_needs_slides():
    assert 'of b first (its sensitivity, 84.9%, is the lowest)' in said(GOOD)['more slides'].text
    assert 'more slides' not in said(slides(15, wrong=0, right=30))
    right = rows_of(*((f's{number}', CLASSES[number % 3], CLASSES[number % 3], 2) for number in range(9)))
    more = rows_of(*((f's{number}', name, name, 2) for number in range(4) for name in CLASSES))
    assert said(right)['few slides']
    assert 'slides of every class' in said(more)['more slides'].text  # no class is the worst: all are right


def test_confidence_that_promises_more_than_it_holds():
    rows = slides(15, wrong=3, right=5, sure=0.95)
    found = said(rows)
    assert found['confidence'].text == (
        'Confidence 0.9 or more is right 59.1% of the time (127 cells): it promises more than it holds.'
    )
    assert found['confidence'].tone == 'bad'
    assert 'calibrate' in found
    honest = said(slides(15, wrong=0, right=9, sure=0.95))
    assert honest['confidence'].text.endswith('(142 cells): it can be taken at its word.')
    assert 'calibrate' not in honest
    assert 'confidence' not in said(slides(15, wrong=1, right=2))  # sure to 0.6, right in six of nine
    shy = said(slides(15, wrong=0, right=9))['confidence']
    assert shy.text == 'It is 60.0% sure on average and right in 95.1%: it promises too little.'


def test_rows_without_probabilities_say_nothing_of_confidence():
    rows = [{key: row[key] for key in ('file', 'group', 'label', 'prediction')} for row in GOOD]
    kinds = {one.kind for one in verdict.sentences(results_of(GOOD), rows)}
    assert 'accuracy' in kinds
    assert 'confidence' not in kinds


def test_the_answers_of_a_calibrated_model():
    test = {'answered': 0.5, 'accuracy_of_answered': 0.96}
    found = said(GOOD, calibration={'accuracy': 0.95, 'test': test})
    assert found['certainty'].tone == 'good'
    assert found['certainty'].text == (
        'It answers 50.0% of the cells and is right in 96.0% of these (95.0% was asked); the others it calls uncertain.'
    )
    worse = {'accuracy': 0.95, 'test': {**test, 'accuracy_of_answered': 0.8}}
    assert said(GOOD, calibration=worse)['certainty'].tone == 'warn'
    none = {'accuracy': 0.95, 'test': {'answered': 0, 'accuracy_of_answered': None}}
    assert 'calls every test cell uncertain' in said(GOOD, calibration=none)['certainty'].text
    assert 'asked' not in said(GOOD, calibration=test)['certainty'].text  # of pooled predictions
    assert 'certainty' not in said(GOOD)
    assert 'calibrate' not in said(slides(15, wrong=3, right=5, sure=0.95), calibration=worse)


def test_probabilities_of_folds_are_said_to_be_those_before_the_calibration():
    rows = slides(15, wrong=3, right=5, sure=0.95)
    test = {'answered': 0.5, 'accuracy_of_answered': 0.96, 'error_before': 0.25, 'error_after': 0.06}
    found = said(rows, calibration={'source': OF_FOLDS, 'accuracy': 0.95, 'test': test})
    assert found['confidence'].text.startswith('Confidence 0.9 or more before calibration is right 59.1%')
    assert found['calibration'].text == (
        'Calibration by the other folds takes the calibration error from 25.0% to 6.0%.'
    )
    worse = {'source': OF_FOLDS, 'accuracy': 0.95, 'test': {**test, 'error_before': 0.05}}
    assert said(rows, calibration=worse)['calibration'].tone == 'warn'
    alone = said(rows, calibration={'source': 'validation fold', 'accuracy': 0.95, 'test': test})
    assert 'calibration' not in alone  # the probabilities are calibrated ones
    assert 'before' not in alone['confidence'].text


def test_a_refused_calibration():
    test = {'answered': 0.05, 'accuracy_of_answered': 0.4, 'error_before': 0.12, 'error_after': 0.1}
    refused = {
        'source': OF_FOLDS,
        'accuracy': 0.95,
        'certain': None,
        'test': test,
        'judged': {'error': (0.12, 0.21), 'log_loss': (1.6, 1.5)},
    }
    both = said(GOOD, calibration={**refused, 'refused': ('temperature', 'answers')})
    assert both['refused calibration'].text == (
        'Calibration is refused: measured on some slides, it takes the calibration error of others from 12.0% to '
        '21.0%. The probabilities stay as they come: do not take them at their word.'
    )
    assert both['refused answers'].text == (
        'Too few slides to promise 95.0% right answers: it calls every new cell uncertain, and names its most probable '
        'class.'
    )
    sure = slides(15, wrong=3, right=5, sure=0.95)
    assert 'before' not in said(sure, calibration={**refused, 'refused': ('temperature',)})['confidence'].text
    other = {**refused, 'refused': ('temperature',), 'judged': {'error': (0.04, 0.03), 'log_loss': (0.5, 0.75)}}
    assert said(GOOD, calibration=other)['refused calibration'].text == (
        'Calibration is refused: measured on some slides, it takes the log loss of others from 0.50 to 0.75. The '
        'probabilities stay as they come.'
    )
    many = [verdict.Sentence('x', str(n), 'bad') for n in range(9)]
    assert verdict.shortest([*many, both['refused answers']])[-1] == both['refused answers']
    neither = said(GOOD, calibration=refused)
    assert neither['calibration'].text.startswith('Calibration by the other folds takes')
    assert neither['certainty'].text.startswith('No confidence is right in 95.0% of the cells: ')


def test_test_cells_unlike_the_training_cells():
    assert '30.0% of the test cells look unlike' in said(GOOD, unlike={'score': 'knn', 'share_of_test_cells': 0.3})[
        'unlike'].text  # fmt: skip
    assert 'unlike' not in said(GOOD, unlike={'score': 'knn', 'share_of_test_cells': 0.1})
    assert 'unlike' not in said(GOOD)


def test_two_classes_that_are_taken_for_each_other():
    rows = GOOD + rows_of(*((f's{number}', 'ab'[number % 2], 'ba'[number % 2], 3) for number in range(12)))
    assert said(rows)['confused'].text == '43 of 58 errors take a and b for each other.'
    assert 'confused' not in said(slides(15, wrong=0))
    assert 'confused' not in said(slides(6, wrong=0))


def test_what_undersampling_left():
    counts = {'a': 112, 'b': 39, 'c': 100}

    def found(equalize, counts):
        made = results_of(GOOD, train={'equalize': equalize})
        made['split']['train_counts'] = counts
        return {one.kind: one.text for one in verdict.sentences(made, GOOD)}

    left = found('undersample', counts)
    assert left['undersampling'] == 'Undersampling left 39 of up to 112 training cells a class, 117 of 251.'
    assert '--config.data.equalize=oversample' in left['keep all cells']
    for other in (found('oversample', counts), found('undersample', {'a': 100, 'b': 99, 'c': 100})):
        assert 'undersampling' not in other
        assert 'keep all cells' not in other


def test_drawn_cells_are_no_result():
    drawn = results_of(GOOD, grouping='unknown')
    drawn['data']['synthetic'] = True
    kinds = {one.kind for one in verdict.sentences(drawn, GOOD)}
    assert 'own cells' in kinds
    assert 'name slides' not in kinds
    assert 'own cells' not in said(GOOD)


def test_a_terminal_has_eight_lines_at_most_and_advice_last():
    rows = slides(15, wrong=6, right=3, sure=0.95) + rows_of(('bad', 'a', 'c', 90, 0.95), ('odd', 'c', 'c', 9))
    more = {'train': {'accuracy': 1.0, 'equalize': 'none'}, 'unlike': {'score': 'knn', 'share_of_test_cells': 0.4}}
    found = verdict.sentences(results_of(rows, **more), rows)
    lines = verdict.lines(found)
    assert len(found) > len(lines) == 8
    assert [line.startswith('next: ') for line in lines] == [False] * 6 + [True] * 2
    assert [one.tone == 'next' for one in found] == sorted(one.tone == 'next' for one in found)


def test_names_in_a_sentence():
    assert [listed([*'abcdef'][:count]) for count in (0, 1, 2, 4, 6)] == [
        '', 'a', 'a and b', 'a, b, c and d', 'a, b, c, d and 2 more',
    ]  # fmt: skip


def test_the_part_of_the_page_tells_tones_in_words_and_escapes_names():
    evil = '<script>alert(1)</script>'
    rows = GOOD + rows_of((evil, 'a', 'c', 40, 0.95))
    template = page_template.load('verdict.html.jinja')
    html = str(verdict.section(results_of(rows, train={'accuracy': 1.0}), rows, template))
    assert html.count('<li') == len(verdict.sentences(results_of(rows, train={'accuracy': 1.0}), rows))
    assert html.index('</span> Caution') < html.index('</span> Problem')
    assert '<script' not in html
    assert html.count('&lt;script&gt;') == 2  # the worst slide, and the advice to look at it
    assert '<code>--config.split.folds=5</code>.' in html
    assert '<code>python launch.py --config=configs/new_slide.py --config.data.root=' in html
