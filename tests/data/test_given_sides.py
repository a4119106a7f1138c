"""Sides that come with a set: folders called train and test, a table of paths, and the protocol that keeps them."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import make_cells
from set_copies import archive, written

from alljax.config import check as check_config
from alljax.config import defaults
from alljax.data import datasets
from alljax.data.all_idb import refuse_mixed, which
from alljax.data.datasets import DATASETS, DataOptions, candidates, problems, recognized
from alljax.data.split import SplitOptions, split
from alljax.errors import UserError
from alljax.evaluation import formatting
from alljax.sweep import left_open, summary
from alljax.sweep.variants import Sweep, Variant, list_runs

GIVEN = SplitOptions('given')


def divided(root):
    names = [f'{side}/{label}/{n}.png' for side in ('train', 'test', 'val') for label in ('one', 'two') for n in (1, 2)]
    return written(root, names)


def test_train_and_test_folders_are_sides_and_their_folders_classes(tmp_path):
    root = divided(tmp_path / 'archive')
    assert recognized(root) == recognized(root.parent) == ('split_folders', 'classes')
    cells = datasets.load(DataOptions('auto', str(root.parent), 'auto', size=16), 0)
    assert cells.counts() == {'one': 6, 'two': 6}
    parts = split(cells, GIVEN, 0)
    for side, name in ((parts.train, 'train/'), (parts.validation, 'val/'), (parts.test, 'test/')):
        assert [cells.names[place].startswith(name) for place in side] == [True] * 4
    assert not parts.leaky
    assert any('given keeps them, all other protocols merge them' in note for note in cells.origin.notes)


def test_class_folders_in_sides_are_refused_by_folder_with_the_remedy(tmp_path):
    listing = DATASETS['folder'].list_cells(divided(tmp_path), 'classes')
    assert 'look like a side of a split' in listing.problems[0]
    assert '--config.data.name=split_folders' in listing.problems[0]


def test_a_class_that_does_not_train_and_loose_pictures_are_told(tmp_path):
    root = written(divided(tmp_path), ['test/three/1.png', 'train/loose.png', 'train/One/9.png'])
    said = '\n'.join(DATASETS['split_folders'].list_cells(root, 'classes').problems)
    for words in ('no training folder holds three', 'train/loose.png: in no class folder', "'One' and 'one' differ"):
        assert words in said


def test_slides_that_cells_csv_names_make_the_given_sides_leaky(tmp_path):
    root = divided(tmp_path)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob('*.png'))
    rows = [f'{name},{name.split("/")[1]},slide{name[-5]}{name.split("/")[1]}' for name in names]
    (root / 'cells.csv').write_text('\n'.join(['file,label,group', *rows]))
    assert recognized(root) == ('split_folders', 'classes')
    cells = datasets.load(DataOptions('split_folders', str(root), 'classes', size=16), 0)
    assert cells.origin.grouping == 'patient or slide'
    assert split(cells, GIVEN, 0).leaky
    assert not split(cells, SplitOptions('grouped', test=0.5), 0).leaky


def test_repeats_across_given_sides_are_kept_and_leak(tmp_path):
    archive(tmp_path / 'bloodmnist.npz')
    cells = datasets.load(DataOptions('medmnist_blood', str(tmp_path), 'classes', size=28), 0)
    parts = split(cells, GIVEN, 0)
    assert [len(side) for side in (parts.train, parts.validation, parts.test)] == [4, 2, 2]
    assert parts.leaky


def test_cells_on_no_side_are_left_out_and_a_validation_side_is_cut_if_none_is_given():
    cells = replace(make_cells([0, 1] * 20), sides=('train',) * 24 + ('test',) * 8 + ('other',) * 8)
    parts = split(cells, GIVEN._replace(validation=0.25), 0)
    assert len(parts.train) + len(parts.validation) == 24
    assert len(parts.validation) == 6
    assert parts.test.tolist() == list(range(24, 32))
    assert split(cells, GIVEN._replace(all_cells=True), 0).train.tolist() == list(range(40))


def test_a_set_without_sides_and_folds_of_given_sides_are_told():
    with pytest.raises(UserError, match='has no sides of its own; set it to grouped'):
        split(make_cells([0, 1] * 4), GIVEN, 0)
    with pytest.raises(UserError, match='has no side to train'):
        split(replace(make_cells([0, 1]), sides=('test', 'test')), GIVEN, 0)
    config = defaults()
    config.split.protocol, config.split.folds, config.split.final_model = 'given', 5, True
    with pytest.raises(UserError, match='protocol=given has one split'):
        check_config(config)
    config.split.final_model = False
    sweep = Sweep('both', (Variant('one', {}),), ('grouped', 'given'))
    assert [run.folder for run in list_runs(sweep, config)] == [
        *(f'one/grouped-fold-{n}' for n in range(5)),
        'one/given',
    ]


def test_a_csv_names_pictures_anywhere(tmp_path):
    written(tmp_path, ['here/a.png', 'here/b.png', 'elsewhere/c.png', 'elsewhere/d.png'])
    table = tmp_path / 'here' / 'mine.csv'
    elsewhere = tmp_path / 'elsewhere'
    table.write_text(
        f'path;label;group\na.png;one;s1\nb.png;two;s2\n../elsewhere/c.png;one;s3\n{elsewhere}/d.png;two;s4\n'
    )
    assert recognized(table) == ('csv', 'classes')
    cells = datasets.load(DataOptions('auto', str(table), 'auto', size=16), 0)
    assert cells.counts() == {'one': 2, 'two': 2}
    assert cells.origin.grouping == 'patient or slide'
    assert set(cells.names) == {'a.png', 'b.png', '../elsewhere/c.png', f'{elsewhere}/d.png'}
    table.write_text('path,label\na.png,one\nb.png,\n./a.png,two\nz.png,one\n')
    said = '\n'.join(DATASETS['csv'].list_cells(table, 'classes').problems)
    for words in ('a.png named in more than one line', 'b.png without a label', 'z.png is not on the disk'):
        assert words in said
    with pytest.raises(UserError, match='is a folder, expected a CSV file with the columns path,label,group'):
        DATASETS['csv'].list_cells(tmp_path, 'classes')


def test_auto_says_what_it_found_and_asks_where_it_cannot_know(tmp_path, caplog):
    root = written(tmp_path / 'cells', ['one/1.png', 'two/2.png'])
    caplog.set_level('INFO')
    datasets.load(DataOptions('auto', str(root), 'classes', size=16), 0)
    assert f'{root}: is known by its layout as folder, task classes' in caplog.text
    assert '2 cells (one 1, two 1) in 2 groups' in caplog.text
    said = problems(DataOptions('auto', str(root), 'detection'))[0]
    assert 'config.data.name=folder, as which the folder is known by its layout' in said
    (empty := tmp_path / 'empty').mkdir()
    (empty / 'paper.pdf').write_text('x')
    said = problems(DataOptions('auto', str(empty), 'auto'))[0]
    assert f'{empty}: holds paper.pdf, expected ALL_IDB2/img/' in said
    assert 'c_nmc_2019: fold_0/all/UID_11_2_7_all.bmp' in said
    assert not problems(DataOptions('auto', str(tmp_path / 'absent'), 'subtype'))  # told when it is read
    DATASETS['mine'] = DATASETS['folder']._replace(recognize=lambda root: 'classes', general=False, layout='any')
    DATASETS['other'] = DATASETS['mine']._replace(layout='all')
    try:
        assert [name for name, _ in candidates(root)] == ['mine', 'other']
        assert (
            'may be mine (any) and other (all); say which it is with --config.data.name'
            in problems(DataOptions('auto', str(root), 'classes'))[0]
        )
        with pytest.raises(UserError, match='name the folder of one of them'):
            recognized(root)
    finally:
        del DATASETS['mine'], DATASETS['other']


def test_crops_and_fields_of_all_idb1_are_told_from_all_idb2():
    def named(names, width=257, **changes):
        made = make_cells([0, 1] * (len(names) // 2), size=8)
        return replace(made, names=tuple(names), sizes=np.full((len(names), 2), width, np.int32), **changes)

    fields = named([f'im/Im00{n}_1.jpg' for n in range(6)], 2592)
    crops = named([f'blast/Im00{n}_1_{n}.png' for n in range(6)])
    grouped = replace(
        make_cells([0, 1] * 2), group_names=('Im001_1', 'Im002_0'), groups=np.array([0, 0, 1, 1], np.int32)
    )
    second = named([f'img/Im00{n}_1.tif' for n in range(6)])
    assert [which(one) for one in (fields, crops, grouped, second)] == [*['ALL-IDB1'] * 3, 'ALL-IDB2']
    mixed = named([*crops.names[:4], *second.names[:4]])
    with pytest.raises(UserError, match=r'holds 4 pictures of ALL-IDB1 .* and 4 of ALL-IDB2'):
        refuse_mixed(mixed)
    refuse_mixed(second)
    refuse_mixed(grouped)


def test_given_sides_are_named_beside_the_numbers_and_leak_where_a_run_says_so(tmp_path, monkeypatch):
    told = {'data': {'grouping': 'patient or slide'}, 'split': {'protocol': 'given', 'leaky': False}}
    assert formatting.grouped(told) == 'given sides (by patient or slide)'
    runs = list_runs(Sweep('one', (Variant('one', {}),), ('given',)), defaults())
    for leaky in (False, True):
        monkeypatch.setattr(summary.results, 'read', lambda folder, leaky=leaky: {'split': {'leaky': leaky}})
        assert summary._leaks(tmp_path, 'given', {('one', 'given'): runs}) == leaky
    assert [summary._leaks(tmp_path, protocol, {}) for protocol in ('grouped', 'random')] == [False, True]


def test_a_run_names_the_set_that_auto_means_but_for_all_idb2(tmp_path, drawn):
    config = defaults()
    config.data.name, config.data.task, config.split.folds = 'auto', 'auto', 5
    config.data.root = str(written(tmp_path, ['basophil/BA_1.jpg', 'ig/IG_2.jpg']))
    named = left_open.found(config, {}, {}, {})
    assert (named.data.name, named.data.task) == ('acevedo2020', 'classes')
    config.data.root = str(drawn)  # runs of earlier releases have it as auto
    named = left_open.found(config, {}, {}, {})
    assert (named.data.name, named.data.task) == ('auto', 'subtype')
    config.data.root = str(tmp_path / 'basophil')
    with pytest.raises(UserError, match='expected ALL_IDB2/img/ or one folder of images'):
        left_open.found(config, {}, {}, {})
