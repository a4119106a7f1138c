import numpy as np
import pytest

from alljax.evaluation import metrics, paper


@pytest.fixture(scope='module')
def lines():
    return list(paper.describe())


@pytest.fixture(scope='module')
def said(lines):
    return ' '.join(' '.join(lines).split())


def test_rows_are_true_classes_here():
    names, matrix = paper.confusion('detection')
    assert names == ('blast', 'normal')
    np.testing.assert_array_equal(matrix, [[197, 0], [2, 104]])
    names, matrix = paper.confusion('subtype')
    assert matrix.sum() == 304
    assert matrix.sum(1).tolist() == [111, 58, 31, 104]


@pytest.mark.parametrize(
    'sentence',
    [
        '- Abstract, accuracy 99.50: the matrix gives 99.34; it is macro precision.',
        '- Abstract, accuracy 96.06: the matrix gives 97.04; it is the mean of the row percent of Table 3 as printed, '
        'so macro precision, which unrounded is 96.04.',
        '- Abstract, sensitivity 96.74: the matrix gives 96.77; '
        'it is the mean of the sensitivity of Table 5 as printed.',
        '- Table 3, L2, row percent 93.33: 55 of 59 are 93.22.',
        '- Table 5, accuracy: this is the row percent of Table 3, which is precision; '
        'by the matrix it would be 98.03, 97.70, 99.01, 99.34.',
        '- Table 5, precision: no measure of the matrix gives more than 1 of its 4 numbers; '
        'by the matrix it would be 99.07, 93.22, 93.75, 98.11.',
        '456 training images in Table 1 and 304 test images in the matrix are 760 of 760',
        'Equalizing to the smallest class (81 L3) would leave 324, 194 of them for training: the 456 do not follow. '
        '60 % of all 760 are 456.',
        'copies of a cell can stand on both sides',
    ],
)
def test_what_does_not_follow_is_said(said, sentence):
    assert sentence in said


def test_nothing_else_is_called_wrong(lines):
    wrong = {(line[:16].strip(), line[17:29].strip()) for line in lines if line.endswith('does NOT follow')}
    table_5 = {(f'Table 5, {name}', row) for name in ('L1', 'L2', 'L3', 'normal') for row in ('accuracy', 'precision')}
    assert wrong == {('Abstract', 'accuracy'), ('Abstract', 'sensitivity'), ('Table 3, L2', 'row percent'), *table_5}
    for row in ('sensitivity', 'specificity'):
        rows = [line for line in lines if line.startswith('Table 5') and f' {row} ' in line]
        assert len(rows) == 4
        assert all('  follows' in line for line in rows)
    sentences = [line for line in lines if line.startswith('- ')]
    assert len(sentences) == 1 + 5 + 3


def test_it_fits_a_terminal(lines):
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ('printed', 'value', 'expected'),
    [
        (98.37, 98.374, 'follows'),
        (98.38, 98.376, 'follows'),
        (98.37, 98.379, 'follows, cut off'),
        (98.38, 98.374, ''),  # cut off is never upward
        (98.37, 98.381, ''),
        (98.40, 98.374, 'follows to one decimal'),
        (98.30, 98.374, 'follows to one decimal, cut off'),
        (98.41, 98.374, ''),
        (98.20, 98.374, ''),
        (100.0, 99.9, ''),
        (100.0, 100.0, 'follows'),
    ],
)
def test_a_number_follows_to_its_last_digit(printed, value, expected):
    assert paper.verdict(printed, value) == expected


def test_a_corrected_table_is_not_called_wrong(monkeypatch):
    """Nothing is known beforehand: printed numbers that follow leave no sentence."""
    names, matrix = paper.confusion('subtype')
    of = {'sensitivity': 'recall', 'specificity': 'specificity', 'accuracy': 'accuracy', 'precision': 'precision'}
    found = metrics.scores(matrix, names)
    right = {row: [round(100 * found['per_class'][name][kind], 2) for name in names] for row, kind in of.items()}
    whole = {'sensitivity': 'macro_recall', 'specificity': 'macro_specificity', 'accuracy': 'accuracy'}
    table_3 = paper.tables()['table3_subtype_confusion'] | {'row_percent': right['precision']}
    headline = paper.tables()['headline'] | {'subtype': {row: round(100 * found[of], 2) for row, of in whole.items()}}
    fixed = {'headline': headline, 'table5_per_class': {'labels': names, **right}, 'table3_subtype_confusion': table_3}
    corrected = {**paper.tables(), **fixed}
    monkeypatch.setattr(paper, 'tables', lambda: corrected)
    assert list(paper.contradictions('subtype')) == []
    right['accuracy'] = [round(100 * found['per_class'][name]['f1'], 2) for name in names]
    corrected['table5_per_class'] = {'labels': names, **right}
    sentences = list(paper.contradictions('subtype'))
    assert len(sentences) == 1
    assert sentences[0].startswith('Table 5, accuracy: this is F1;')


def test_what_was_recomputed_by_hand_is_what_is_computed():
    recomputed = paper.tables()['recomputed_from_the_matrices']
    of = {
        'overall_accuracy': 'accuracy',
        'sensitivity': 'per_class.blast.recall',
        'specificity': 'per_class.blast.specificity',
    }
    for task, numbers in recomputed.items():
        for name, number in numbers.items():
            assert paper.verdict(number, paper.computed(task, of.get(name, name))).startswith('follows')
