"""A temperature and a confidence are kept only if folds that had no part in them find that they hold: made cases."""

import numpy as np
import pytest

from alljax.config.plan import CalibrationOptions
from alljax.evaluation import calibration_table, formatting
from alljax.evaluation.calibration import tempered
from alljax.runs.results import Judged
from alljax.storage.calibration_record import OF_FOLDS, Calibration
from alljax.storage.card import Card
from alljax.sweep import fold_calibration
from alljax.sweep.fold_calibration import Folded

BROKEN = ((0.95, 100, 100), (0.95, 100, 100), (0.95, 10, 0))  # confidence, cells, right ones of each fold


def folded(parts, groups=4):
    """Cells of two classes from (confidence, cells, right ones) of each fold; every fold has groups of its own."""
    columns = []
    for fold, (sure, cells, right) in enumerate(parts):
        for number in range(cells):
            label = number % 2
            own = sure if number < right else 1 - sure
            columns.append((label, own, fold, fold * groups + number % groups))
    labels, own, folds, names = map(np.array, zip(*columns, strict=True))
    shares = np.where(labels[:, None] == [0, 1], own[:, None], 1 - own[:, None])
    judged = Judged(labels, shares.argmax(1), shares, names)
    return Folded(judged, folds, np.zeros(len(labels), int), len(labels))


def test_a_temperature_that_helps_on_every_other_fold_is_kept():
    """Five folds, each 0.99 sure and right in 80 %: the temperature at which 0.99 becomes 0.8 is log(99) / log(4)."""
    known, whole = fold_calibration.fitted(folded([(0.99, 50, 40)] * 5), CalibrationOptions(accuracy=0.7))
    right = np.log(99) / np.log(4)
    assert known.temperature == pytest.approx(right, rel=1e-3)
    assert (known.refused, known.certain) == ((), pytest.approx(0.8, abs=1e-3))
    assert 'refused' not in whole
    assert whole['judged']['error'] == pytest.approx((0.19, 0), abs=1e-3)
    assert whole['judged']['log_loss'] == pytest.approx(
        (-0.8 * np.log(0.99) - 0.2 * np.log(0.01), -0.8 * np.log(0.8) - 0.2 * np.log(0.2)), abs=1e-4
    )
    assert (whole['judged']['answered'], whole['judged']['accuracy_of_answered']) == (1, 0.8)
    assert (whole['test']['error_before'], whole['test']['answered']) == (pytest.approx(0.19), 1)
    assert whole['test']['error_after'] == pytest.approx(0, abs=1e-3)
    assert calibration_table.refusals(whole) == []


def test_what_one_fold_breaks_is_refused():
    """Two folds are right in all of 100 cells, the third in none of 10: 200 of 210 are 95.2 %, so 95 % seem reached.

    By the two alone, its cells would be answered, and none is right. By one of the two and the third, nothing is
    answered: 100 of 110 are 90.9 %. And a temperature that the first two give makes the third surer of its errors.
    """
    found = folded(BROKEN)
    known, whole = fold_calibration.fitted(found, CalibrationOptions())
    assert (known.temperature, known.certain, known.refused) == (1.0, None, ('temperature', 'answers'))
    judged = whole['judged']
    assert (judged['answered'], judged['accuracy_of_answered']) == (10 / 210, 0)
    assert (
        judged['log_loss'][1] > judged['log_loss'][0] == pytest.approx((-200 * np.log(0.95) - 10 * np.log(0.05)) / 210)
    )
    assert whole['refused'] == ('temperature', 'answers')
    first, second = calibration_table.refusals(whole)
    assert first.startswith('A temperature of 0.98 was refused, and probabilities stay as the final model gives them: ')
    assert second == (
        'No confidence to answer from is kept: 12 groups are too few to promise 95.0%. One that was measured on some '
        'folds answers 4.8% of the cells of the others, and is right in 0.0% of these.'
    )
    lines = {line.name: line for line in calibration_table.lines(whole, 210)}
    assert lines['Expected calibration error'].number.startswith('0.2')  # 0.952 - 0.95, as the folds give it
    assert (lines['Answered'].number, lines['Accuracy of the answers'].number) == ('0.0%', formatting.MISSING)
    assert 'too few groups to promise 95.0%' in lines['Answered'].remark


def test_a_promise_that_other_folds_keep_is_kept():
    """140 of 140 that others answer are right: those of 0.9 are answered by nobody who has not seen them."""
    found = folded([(0.99, 100, 100), (0.95, 40, 40), (0.9, 20, 14)])
    known, whole = fold_calibration.fitted(found, CalibrationOptions())
    assert 'answers' not in known.refused
    assert known.certain == pytest.approx(0.9, abs=0.02)  # 154 of 160 are 96 %
    assert whole['judged']['accuracy_of_answered'] == 1


def test_a_fold_has_no_part_in_the_decision_by_which_it_is_judged():
    """The first fold is turned upside down: what is said of its cells stays, by the temperature of the others."""
    parts = [(0.99, 50, 40), (0.99, 50, 40), (0.99, 50, 40)]
    found = folded(parts)
    labels = np.where(found.folds == 0, 1 - found.judged.labels, found.judged.labels)
    turned = found._replace(judged=found.judged._replace(labels=labels))
    own = found.folds == 0
    for one in (found, turned):
        (_, others), *_ = fold_calibration._in_turn(one.folds, one.repeats)
        known, _ = fold_calibration._decided(fold_calibration._taken(one, others), CalibrationOptions())
        assert known.temperature == pytest.approx(np.log(99) / np.log(4), rel=1e-3)
        assert (tempered(one.judged.probabilities[own], known.temperature).max(1) < 0.81).all()


def test_a_single_fold_cannot_be_judged():
    with pytest.raises(ValueError, match='needs two of them'):
        fold_calibration.fitted(folded([(0.9, 20, 18)]), CalibrationOptions())


def test_the_card_says_what_was_refused_and_others_stay_as_they_were(tmp_path):
    refused = Calibration(1.0, 0.9, 0.1, 0.95, None, 210, 12, OF_FOLDS, ('temperature', 'answers'))
    kept = refused._replace(refused=())
    assert 'refused' not in kept.to_json()
    card = {'network': {'name': 'alexnet', 'options': {}}, 'classes': ['a', 'b'], 'format': 1,
            'input': {'size': 227, 'mean': [0, 0, 0], 'deviation': [1, 1, 1]}}  # fmt: skip
    for known in (refused, kept):
        values = {**card, 'calibration': {**known.to_json(), 'refused': list(known.refused)}}
        assert Card.from_json(values, tmp_path / 'facts.json').calibration == known
