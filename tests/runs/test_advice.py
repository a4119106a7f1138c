"""The advice on a folder: its numbers on made features, and each sentence where it must and where it must not stand."""

import csv
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from alljax.baselines.systems import chatap2014
from alljax.commands import advise as command
from alljax.data.cells import Cells, Origin
from alljax.data.split import LEAVE_ONE, SplitOptions, split
from alljax.errors import UserError
from alljax.evaluation import learning_curve, metrics
from alljax.runs import advice
from alljax.runs.advice import features, growth, page, protocol, scores, sentences
from alljax.runs.advice.features import Table, Tables
from alljax.runs.advice.scores import Score

EACH = 4  # cells of a class on a slide
RNG = np.random.default_rng


def made(slides, grouping='patient or slide', name='folder'):
    """Cells of as many classes as there are rows: `slides` holds the slides on which each class has EACH cells."""
    labels = np.repeat(np.arange(len(slides)), [EACH * len(row) for row in slides])
    groups = np.repeat(np.concatenate(slides), EACH)
    count = len(labels)
    return Cells(
        images=np.zeros((count, 1, 1, 3), np.uint8),
        labels=labels.astype(np.int32),
        groups=(groups if grouping == 'patient or slide' else np.arange(count)).astype(np.int32),
        repeats=np.full(count, -1, np.int32),
        names=tuple(f'{number}.png' for number in range(count)),
        classes=tuple('abcdefgh'[: len(slides)]),
        group_names=tuple(f's{number}' for number in range(count)),
        origin=Origin(name, '', False, '/my cells', (), grouping),
    )


def signal(of, seed, strength=4.0, width=6):
    """Features that say `of` each cell, and noise."""
    of = np.asarray(of)
    place = RNG(seed).normal(size=(of.max() + 1, width))
    return strength * place[of] + RNG(seed + 1).normal(size=(len(of), width))


def noise(count, seed=9):
    return RNG(seed).normal(size=(count, 6))


def advised(cells, whole, balanced, border=None):
    border = noise(len(cells)) if border is None else border
    tables = Tables(Table('whole picture', whole), Table('white', balanced), None, {'border': border})
    return advice.advise(cells, tables, 'classes')


MIXED = [list(range(6))] * 3  # three classes on the same six slides
ALONE = [list(range(5)), list(range(5, 10)), list(range(10, 15))]  # a class's slides are its own


@pytest.fixture(scope='module', autouse=True)
def one_repeat():
    with pytest.MonkeyPatch.context() as patch:
        for module in (scores, protocol):
            patch.setattr(module, 'REPEATS', 1)
        yield


@pytest.fixture(scope='module')
def of_class():
    """Features of the class; without white balance the slide drowns it."""
    cells = made(MIXED)
    own = signal(cells.labels, 1)
    return advised(cells, own / 4 + signal(cells.groups, 3, 9.0), own)


@pytest.fixture(scope='module')
def of_slide():
    """Features of the slide, which white balance does not change; the border says the class."""
    cells = made(ALONE)
    return advised(cells, *[signal(cells.groups, 2, 9.0, 40)] * 2, signal(cells.labels, 5))


@pytest.fixture(scope='module')
def few():
    """Three classes on two or three slides, and one on a single slide, where white balance harms."""
    cells = made([[0, 1], [2, 3], [4, 5, 6], [7]])
    own = signal(np.array([0, 1, 2, 0])[cells.labels], 1)
    return advised(cells, own, noise(len(cells)))


@pytest.fixture(scope='module')
def unknown():
    cells = made(MIXED, 'unknown')
    return advised(cells, signal(cells.labels, 1), noise(len(cells)))


def said(found):
    return '\n'.join(line for section in sentences.sections(found) for line in (*section.sentences, *section.commands))


def test_features_of_the_class_are_told_on_new_slides_and_those_of_the_slide_are_not(of_class, of_slide):
    assert of_class.scores[1].by_slide.value > 0.95
    assert abs(of_class.by_slide.lost.value) < 0.05
    told = of_class.scores[1].slide_told
    assert told.chance == pytest.approx(1 / 6)
    assert told.score.value == pytest.approx(1 / 6, abs=0.1)
    assert of_slide.scores[0].by_file.value == 1
    assert of_slide.scores[0].by_slide.value < 0.6
    assert of_slide.scores[0].slide_told.score.value > 0.9
    assert of_slide.scores[0].slide_told.chance == pytest.approx(1 / 5)
    assert of_class.by_slide.expected.value == of_class.scores[1].by_slide.value  # chosen on inner folds


EVERY = ('of_class', 'of_slide', 'few', 'unknown')
SENTENCES = {  # a part of a sentence → the cases in which it stands
    '72 cells of 3 classes on 6 slides (or patients): a 24 on 6, b 24 on 6, c 24 on 6.': 'of_class',
    '72 cells of 3 classes: a 24, b 24, c 24.': 'unknown',
    'Too few slides: a (2), b (2), d (1).': 'few',
    'The slides of every class hold no other class': 'of_slide few',
    'No slides are known: name the slide of every cell in cells.csv (file,label,group), else every number leaks.':
        'unknown',
    'By file (cells of one slide on both sides) 100%': 'of_class of_slide few',
    'are, or may be, on both sides, so a new slide will see less': 'unknown',
    'Without d: on one slide only': 'few',
    'of what it knows beyond chance is the slide': 'of_slide',
    'A new slide is not harder than a known one': 'of_class few',
    'Among the slides of its class, the slide of a cell is told in': 'of_class of_slide few',
    'each slide has a look of its own': 'of_class of_slide',
    'slides look alike': 'few',
    'The class is told without the cell, on slides that did not train, from: border': 'of_slide',
    'The class cannot be told, on slides that did not train, from border alone.': 'of_class few',
    'The class cannot be told, by file, from border alone.': 'unknown',
    'It helps on new slides': 'of_class',
    'It harms on new slides': 'few',
    'On new slides no effect can be told from noise': 'of_slide',
    'The slide is told in': 'of_class of_slide few',
    'Without slides its effect': 'unknown',
    'Grouped folds: 5 of whole slides, 1 times.': 'of_class of_slide',
    'Leave one slide out at a time (7 folds): a class is on 2 slides only.': 'few',
    'Validation can be by slide: --config.split.validation=0.2.': 'of_class of_slide',
    'Validation by slide is not possible': 'few',
    'First add slides of d, or move the class away.': 'few',
    "alljax audit '/my cells'": 'unknown',
    'On a new slide expect at least about 100%': 'of_class few',
    'The number to expect on a new slide cannot be told.': 'unknown',
    'The last doubling of training slides': 'of_class of_slide few',
    "--config=configs/new_slide.py --config.data.root='/my cells' --config.split.folds=5 --config.split.repeats=1":
        'of_class of_slide',
    "configs/new_slide.py --config.data.root='/my cells' --config.split.protocol=leave_one_group_out": 'few',
    "folds=5 --config.split.repeats=1 --config.data.stain=white_balance\n": 'of_class',
    '--config.data.stain=white_balance --config.baseline.system=putzu2014': 'of_class of_slide few',
}  # fmt: skip


@pytest.mark.parametrize('part', SENTENCES)
def test_a_sentence_stands_where_it_must_and_nowhere_else(part, request):
    found = {case for case in EVERY if part in said(request.getfixturevalue(case)) + '\n'}
    assert found == set(SENTENCES[part].split())


def test_sentences_on_single_numbers(of_class, of_slide, unknown):
    found = of_class.by_slide
    text = said(of_class._replace(by_slide=found._replace(expected=Score(0.3, [0.2, 0.4]))))
    assert 'nothing is told beyond chance' in text
    assert 'nothing is told beyond chance' not in said(of_class)
    point = found._replace(expected=Score(1.0, [1.0, 1.0]), lost=Score(0.0, [0.0, 0.001]))
    text = said(of_class._replace(by_slide=point))
    assert 'expect at least about 100% (no interval: nothing varies) macro recall' in text
    assert 'by file 0 points (0 to 0).' in text
    two = of_slide.scores[0].slide_told._replace(score=Score(0.9, None))  # no interval: of two slides
    text = said(of_slide._replace(scores=[of_slide.scores[0]._replace(slide_told=two), *of_slide.scores[1:]]))
    assert 'told in 90% from the whole picture' in text
    assert 'That is of two slides, too few to say whether each slide has a look of its own.' in text
    assert 'look alike' not in text
    text = said(of_class._replace(by_slide=found._replace(recalls={'a': 1.0, 'b': 0.5, 'c': 0.9})))
    assert 'The weakest class is b: 50% of its cells are found on new slides.' in text
    assert 'weakest' not in said(of_class)
    big = [count._replace(largest=0.76) for count in of_class.counts[:1]]
    assert 'One slide holds most cells of a (76%)' in said(of_class._replace(counts=big + of_class.counts[1:]))
    assert 'One slide holds most' not in said(of_class)
    shared = of_class.counts[0]._replace(alone=True)
    assert 'The slides of a hold no other class' in said(of_class._replace(counts=[shared, *of_class.counts[1:]]))
    assert 'hold no other class' not in said(of_class)
    repeats = unknown._replace(cells=made(MIXED, 'repeats only', 'all_idb2'))
    assert 'Only pictures of one cell are known to belong together: name the slide of every cell in groups.csv' in said(
        repeats
    )
    drawn = replace(of_class.cells, origin=Origin('all_idb2', '', True, '/d', (), 'patient or slide'))
    text = said(of_class._replace(cells=drawn, task='subtype'))
    assert 'These cells are drawn: nothing below holds for real ones.' in text
    assert '--config=configs/subtype.py' in text
    assert 'new_slide' not in text
    assert 'drawn' not in said(of_class)


@pytest.mark.parametrize(
    ('file', 'slide', 'words'),
    [(0.84, 0.43, 'two thirds of'), (0.8, 0.55, 'half of'), (0.9, 0.85, 'little of'), (0.8, 0.2, 'nearly all of')],
)
def test_the_share_of_the_slide_in_words(of_slide, file, slide, words):
    chosen = of_slide.scores[0]._replace(by_file=Score(file, None), by_slide=Score(slide, None))
    lost = Score(file - slide, [0.01, 0.9])
    found = of_slide.by_slide._replace(chosen=chosen, lost=lost)
    text = said(of_slide._replace(by_slide=found, chance=0.2 if words != 'half of' else 0.3))
    assert f'So {words} what it knows beyond chance is the slide: by file +{100 * (file - slide):.0f} points' in text


@pytest.mark.parametrize(
    ('slides', 'cells', 'words'),
    [
        ([0.01, 0.1], [-0.1, 0.1], 'collect slides rather than more cells of the same slides'),
        ([-0.1, 0.1], [0.01, 0.1], 'collect more cells of each slide'),
        ([0.01, 0.1], [0.01, 0.1], 'more of both helps'),
        ([-0.1, 0.1], [-0.1, 0.1], 'neither can be told from noise'),
    ],
)
def test_more_slides_or_more_cells(slides, cells, words):
    of = {'a': Score(0.01, [-0.1, 0.1]), 'b': Score(0.05, [0.01 if words[0] == 'c' else -0.1, 0.1])}
    first, second = sentences.about_growth(growth.Growth('t', Score(0.08, slides), Score(0.02, cells), of, []))
    assert first.endswith(f'{words}.')
    assert ('slides of b brought most: +5 points (+1 to +10)' in second) == (words[0] == 'c')
    assert ('No single class stands out' in second) == (words[0] != 'c')


def test_half_of_the_slides_or_cells_are_a_part_of_all():
    cells = made(MIXED)
    train = np.arange(len(cells))
    for fewer in (growth.fewer_slides, growth.fewer_cells):
        half, quarter = (fewer(cells, part, train, 3) for part in (0.5, 0.25))
        assert set(quarter) < set(half) < set(train)
        assert np.bincount(cells.labels[half]).tolist() == [12] * 3
    half = growth.fewer_slides(cells, 0.5, train, 3, only=1)
    assert np.bincount(cells.labels[half]).tolist() == [24, 12, 24]
    assert len(np.unique(cells.groups[half[cells.labels[half] == 1]])) == 3
    one = growth.fewer_slides(cells, 0.01, train, 0)
    assert np.bincount(cells.labels[one]).tolist() == [EACH] * 3


def test_the_curve_ends_with_the_whole_training_side(of_class):
    for curve in of_class.by_slide.growth.curves:
        assert [point.cells for point in curve.points] == sorted(point.cells for point in curve.points)
        assert curve.points[-1].cells == pytest.approx(0.8 * 72)
        assert curve.points[-1].scores == (of_class.scores[1].by_slide.value,)
    assert learning_curve.last_doubling(of_class.by_slide.growth.curves[0]) is not None


def test_the_protocol_that_is_recommended_is_one_that_a_run_takes(of_class, few):
    for found in (of_class, few):
        rows = protocol.testable(found.cells)
        cells, asked = protocol.of_rows(found.cells, rows), found.by_slide.protocol
        for fold in range(asked.folds):
            validation = protocol.VALIDATION if asked.validation else 0.0
            parts = split(cells, SplitOptions(asked.name, folds=asked.folds, fold=fold, validation=validation), 0)
            assert set(cells.labels[parts.train]) == set(cells.labels)
    assert (of_class.by_slide.protocol.name, few.by_slide.protocol.name) == ('grouped', LEAVE_ONE)
    assert len(rows) == 28  # without the class on one slide


def test_classes_on_one_slide_each_have_no_number_by_slide():
    cells = made([[0], [1], [2]])
    found = advised(cells, signal(cells.labels, 1), noise(len(cells)))
    assert found.by_slide is None
    assert [row.by_slide for row in found.scores] == [None, None]
    assert 'Fewer than two classes are on two slides: nothing can be tested on a new slide. Add slides.' in said(found)
    assert 'No class has two slides of 4 pictures' in said(found)


def test_too_few_cells_are_an_error_that_says_so():
    cells = made([[0, 1], [0, 1]])
    two = cells.take(np.array([0, 8]))
    with pytest.raises(UserError, match='/my cells: 2 cells are too few: no class has two that can be on both sides'):
        advised(two, noise(2), noise(2))


def test_pictures_of_one_cell_are_on_one_side_by_file():
    cells = made(MIXED)
    cells.repeats[:4] = [7, 7, 3, 3]
    for train, test in scores.by_file_folds(cells)[0]:
        assert not set(scores.units(cells)[train]) & set(scores.units(cells)[test])
        assert set(train) | set(test) == set(range(len(cells)))


def test_a_score_is_macro_recall_of_all_repeats_and_a_tested_slide_takes_no_part_in_the_choice():
    cells = made(MIXED)
    told = np.stack([cells.labels, np.zeros_like(cells.labels)]).astype(int)
    both = np.concatenate([cells.labels, cells.labels]).astype(int)
    expected = metrics.OVERALL['macro_recall'](metrics.confusion(both, told.ravel(), 3))
    assert scores.score(cells, told).value == expected == pytest.approx((1 + 1 / 3) / 2)
    # the second table is right on the first fold only, and there alone it would be the better one
    folds = protocol.by_slide(cells)[1]
    test = folds[0][0][1]
    good, lucky = signal(cells.labels, 1), noise(len(cells))
    lucky[test] = 0
    tables = [Table('good', good), Table('lucky', lucky)]
    first = np.isin(np.arange(len(cells)), test)
    right = [np.full((1, len(cells)), 0), np.where(first, cells.labels, 0)[None].astype(int)]
    chosen, taken = scores.chosen_on_inner_folds(tables, cells, folds, right, features.silent)
    assert taken == [5, 0]
    np.testing.assert_array_equal(chosen, right[0])


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


@pytest.mark.slow
def test_drawn_cells_from_folder_to_page(drawn, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(features, 'CELL', chatap2014)
    monkeypatch.setattr(features, 'WHOLE_PICTURE', features.WHOLE_PICTURE._replace(features=('glcm',)))
    monkeypatch.setattr(features, 'CHUNK', 15)  # so few that no other process starts
    monkeypatch.setattr(advice, 'SIZE', 64)
    root = tmp_path / 'my cells'
    with (drawn / 'ALL_IDB2' / 'groups.csv').open() as file:
        groups = {row['file'].rpartition('/')[2]: row['group'] for row in csv.DictReader(file)}
    lines = ['file,label,group']
    for number, path in enumerate(sorted(drawn.rglob('Im*.tif'))[::2]):  # 40 cells
        label = ('normal', 'blast')[path.stem.endswith('_1')]
        (root / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / label / path.name)
        lines.append(f'{label}/{path.name},{label},{groups[path.name]}{number % 2}')
    (root / 'cells.csv').write_text('\n'.join(lines))
    assert command.main([str(root), '--to', str(tmp_path / 'new' / 'advice')]) == 0
    text = capsys.readouterr().out
    assert '40 cells of 2 classes on 8 slides' in text
    assert f'written: {tmp_path}' in text
    written = (tmp_path / 'new' / 'advice' / page.PAGE).read_text()
    assert 'Advice before training' in written
    images = [attributes['src'][:22] for tag, attributes in Tags(written).tags if tag == 'img']
    assert images == ['data:image/png;base64,'] * 2
    assert not [tag for tag, _ in Tags(written).tags if tag in ('script', 'link')]
    with pytest.raises(UserError, match='is a file, expected a folder; correct --to'):
        command.main([str(root), '--to', str(tmp_path / 'new' / 'advice' / page.PAGE)])


def test_a_page_without_slides_says_so_first_and_escapes_names(unknown):
    named = unknown._replace(counts=[unknown.counts[0]._replace(name='<b>'), *unknown.counts[1:]])
    text = page.render(named)
    assert 'The slides of these cells are not known.' in text
    assert '&lt;b&gt;' in text
    assert '<b>' not in text
    assert len([tag for tag, _ in Tags(text).tags if tag == 'img']) == 1
