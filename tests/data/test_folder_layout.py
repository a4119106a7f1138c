"""Folders whose outer names are no classes, tables that are nearly ours, and all that is told before a run."""

import shutil

import numpy as np
import pytest
from PIL import Image

from alljax.data import datasets
from alljax.data.datasets import DataOptions, folder
from alljax.errors import UserError


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)).save(path)


def make(root, *folders, cells=2):
    for number, name in enumerate(folders):
        for cell in range(cells):
            save(root / name / f'{number}-{cell}.png', 10 * number + cell)
    return root


@pytest.fixture
def root(tmp_path):
    return make(tmp_path / 'cells', 'blast', 'normal')


def problems(root):
    return '\n'.join(folder.list_cells(root).problems)


@pytest.mark.parametrize(
    ('folders', 'inner'),
    [
        (('fold_0/all', 'fold_0/hem', 'fold_1/all', 'fold_1/hem'), 'fold_0'),
        (('train/ALL', 'train/HEM', 'test/ALL', 'test/HEM'), 'train'),
        (('Training/blast', 'Training/normal', 'Validation/blast', 'Validation/normal'), 'Training'),
        (('C-NMC_training_data/fold_0/all', 'C-NMC_training_data/fold_0/hem'), 'C-NMC_training_data/fold_0'),
        (('training_set/a', 'training_set/b', 'extra/a'), 'training_set'),
        (('TestSet/a', 'TestSet/b', 'TrainSet/a', 'TrainSet/b'), 'TrainSet'),
        (('fold1/a', 'fold1/b', 'fold2/a'), 'fold1'),
        (('Original/Benign', 'Original/Early', 'Original/Pre', 'Segmented/Benign', 'Segmented/Early'), 'Original'),
        (('siteA/blast', 'siteA/normal', 'siteB/blast', 'siteB/normal'), 'siteA'),
        (('2021/blast', '2021/normal', '2022/blast', '2022/normal', '2022/other'), '2021'),
        (('all_images/ALL', 'all_images/HEM'), 'all_images'),
        (('set/pictures/ALL', 'set/pictures/HEM'), 'set/pictures'),
        (('MunichA/blast', 'MunichA/normal', 'Rome/blast', 'Rome/normal', 'extra'), 'MunichA'),
        (('center1/ALL', 'center1/HEM', 'center2/ALL', 'center2/AML'), 'center1'),
        (('data/train/ALL', 'data/train/HEM', 'data/val/ALL', 'data/val/HEM'), 'data/train'),
    ],
)
def test_levels_above_the_classes_stop_with_the_folder_to_name(tmp_path, folders, inner):
    root = make(tmp_path / 'cells', *folders)
    said = problems(root)
    assert f'--config.data.root={root / inner})' in said
    assert 'cells.csv (file,label,group)' in said
    assert not problems(root / inner)  # the remedy is one
    with pytest.raises(UserError, match='name the folder'):
        datasets.load(DataOptions('folder', str(root), 'classes', size=32), 0)
    # A table that labels every image makes the layout a matter of taste.
    files = [record.file for record in folder.list_cells(root).records]
    (root / 'cells.csv').write_text('file,label\n' + ''.join(f'{name},{name.split("/")[-2]}\n' for name in files))
    assert not problems(root)
    assert len(folder.list_cells(root).classes) == len({name.split('/')[-2] for name in files})


@pytest.mark.parametrize(
    'folders',
    [
        ('train', 'test'),
        ('ALL', 'HEM', 'test'),
        ('Original', 'Segmented'),
        ('set1', 'set2'),
        ('Slide_01', 'Slide_02'),
        ('P01', 'P02', 'P03'),
        ('UID_1/all', 'UID_2/hem', 'UID_3/all'),
        ('40X', '100x'),
        ('phase1', 'phase2'),
        ('2020-01-01', '2020-02-01'),
        ('1999', '2021'),
        ('ALL', 'HEM', 'thumbnails'),
        ('hospital_1', 'hospital_2'),
        ('Lab A', 'Lab B'),
        ('smear1', 'smear2'),
        ('donor-3', 'donor-4'),
    ],
)
def test_sides_without_class_folders_ask_for_a_table(tmp_path, folders):
    said = problems(make(tmp_path, *folders))
    assert f'label every image in {tmp_path / "cells.csv"} (file,label,group)' in said
    assert '--config.data.root' not in said


@pytest.mark.parametrize(
    'folders',
    [
        ('blast', 'normal'),
        ('blast/slide1', 'blast/slide2', 'normal/slide3'),
        ('ALL/images', 'HEM/images'),
        ('0', '1'),
        ('valid', 'invalid'),
        ('Benign', 'Early Pre-B', 'Pre-B', 'Pro-B'),
        ('type1', 'type2'),
        ('L1', 'L2', 'L3'),
        ('M0', 'M5'),
        ('type (1)', 'type (2)'),
        ('SEG', 'BAND'),
        ('SEG', 'BAN', 'labels'),
        ('young', 'old'),
        ('sample', 'labels'),
    ],
)
def test_class_folders_of_many_kinds_are_taken(tmp_path, folders):
    listing = folder.list_cells(make(tmp_path, *folders))
    assert not listing.problems
    assert set(listing.classes) == {name.split('/')[0] for name in folders}


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('Blast', 'blast'),
        ('blast ', 'blast'),
        ('Zelle\u0301', 'Zell\u00e9'),
        ('L 1', 'L_1'),
        ('blast - Copy', 'blast'),
        ('blast (1)', 'Blast'),
        ('Copy of blast', 'blast'),
        ('blast copy 2', 'blast'),
        ('blast_old', 'blast'),
        ('blast.bak', 'Blast'),
    ],
)
def test_classes_that_only_look_different_stop(tmp_path, one, other):
    said = problems(make(tmp_path, one, other, 'normal'))
    assert 'differ in case, spaces, accents or the mark of a copy only' in said
    assert repr(one) in said
    assert repr(other) in said


@pytest.mark.parametrize('inner', [('blast', 'normal'), ('normal',)])
def test_a_backup_beside_the_classes_is_none(tmp_path, inner):
    root = make(tmp_path / 'cells', 'blast', 'normal', *(f'backup/{name}' for name in inner))
    assert f'backup holds {", ".join(inner)}, which are also beside it, so it is no class; move it' in problems(root)
    shutil.rmtree(root / 'backup')
    assert not problems(root)


def test_one_name_in_two_encodings_is_told(root):
    for seed, name in enumerate(('Jos\u00e9.png', 'Jose\u0301.png')):
        save(root / 'blast' / name, 50 + seed)
    said = problems(root)
    assert r"'blast/Jos\xe9.png'" in said
    assert r"'blast/Jose\u0301.png'" in said
    assert 'rename or delete one' in said


def test_labels_of_a_table_that_only_look_different_stop(root):
    (root / 'cells.csv').write_text(
        'file,label\nblast/0-0.png,A\nblast/0-1.png,a\nnormal/1-0.png,b\nnormal/1-1.png,b\n'
    )
    assert "the classes 'A' and 'a' differ" in problems(root)


def test_loose_files_are_told_and_a_table_may_label_them(root):
    save(root / 'loose.png', 77)
    assert any('loose.png: left out (beside the class folders' in note for note in folder.list_cells(root).notes)
    rows = [f'{record.file},{record.label}' for record in folder.list_cells(root).records]
    (root / 'cells.csv').write_text('\n'.join(['file,label', *rows, 'loose.png,blast']))
    listing = folder.list_cells(root)
    assert ('loose.png', 'blast') in {(record.file, record.label) for record in listing.records}
    assert not listing.problems


def test_images_without_folders_are_labelled_by_a_table(tmp_path):
    for cell in range(4):
        save(tmp_path / f'{cell}.png', cell)
    (tmp_path / 'cells.csv').write_text('file,label\n0.png,a\n1.png,a\n2.png,b\n3.png,b\n')
    assert datasets.recognized(tmp_path) == ('folder', 'classes')
    cells = datasets.load(DataOptions('folder', str(tmp_path), 'classes', size=32), 0)
    assert cells.counts() == {'a': 2, 'b': 2}


@pytest.mark.parametrize('name', ['Cells.CSV', 'CELLS.csv', 'cells.CSV'])
def test_the_case_of_a_table_s_name_does_not_matter(root, name):
    rows = [f'{record.file},{record.label},s{number}' for number, record in enumerate(folder.list_cells(root).records)]
    (root / name).write_text('\n'.join(['file,label,group', *rows]))
    listing = folder.list_cells(root)
    assert {record.group for record in listing.records} == {'s0', 's1', 's2', 's3'}
    assert not listing.problems
    shutil.copy(root / name, root / 'cells.Csv')
    assert 'keep one, and name it cells.csv' in problems(root)


@pytest.mark.parametrize(
    ('name', 'meant'),
    [('groups.csv.txt', 'groups.csv'), ('cells.xlsx', 'cells.csv'), ('Groups (1).csv', 'groups.csv'),
     ('cells.csv.csv', 'cells.csv'), ('group.csv', 'groups.csv')],
)  # fmt: skip
def test_a_table_under_nearly_its_name_stops(root, name, meant):
    (root / name).write_text('file,group\n')
    assert f'{root / name}: is not read; save it as {meant} (CSV)' in problems(root)
    rows = [f'{record.file},{record.label},s' for record in folder.list_cells(root).records]
    (root / meant).write_text('\n'.join(['file,label,group', *rows]))
    assert not problems(root)  # beside the table it is only told
    assert any(name in note for note in folder.list_cells(root).notes)


@pytest.mark.parametrize('name', ['labels.xlsx', 'patients.ods', 'anything.csv', 'labels.txt'])
def test_other_tables_are_told(root, name):
    (root / name).write_text('x')
    listing = folder.list_cells(root)
    assert any(f'{name}: is not read' in note for note in listing.notes)
    assert not listing.problems


def test_an_emptied_class_is_told_and_a_lost_one_stops(root):
    (root / 'basophil').mkdir()
    (root / 'docs').mkdir()
    (root / 'docs' / 'readme.txt').write_text('x')
    listing = folder.list_cells(root)
    assert any(note.startswith('basophil: empty') for note in listing.notes)
    assert any('docs/readme.txt: no images' in note for note in listing.notes)
    assert not listing.problems
    (root / 'basophil' / 'a.heic').write_bytes(b'x')
    assert f'{root / "basophil"}: holds no image that can be read (basophil/a.heic)' in problems(root)
    (root / 'basophil' / 'a.heic').rename(root / 'normal' / 'IMG_0001')
    assert any('normal/IMG_0001: left out (in no format' in note for note in folder.list_cells(root).notes)
    assert not problems(root)


def test_a_folder_of_formats_that_are_not_read_names_them(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / '1.avif').write_bytes(b'x')
    with pytest.raises(UserError, match=r'files with \.avif are in no format that is read'):
        folder.list_cells(tmp_path)


def test_a_name_that_is_no_utf8_is_told(root):
    (root / 'normal' / '1-0.png').rename(root / 'normal' / 'caf\udce9.png')
    with pytest.raises(UserError, match='its name is no UTF-8; rename it'):
        datasets.load(DataOptions('folder', str(root), 'classes', size=32), 0)


def test_all_idb2_is_told_from_class_folders(drawn):
    for place in (drawn, drawn / 'ALL_IDB2', drawn / 'ALL_IDB2' / 'img'):
        with pytest.raises(UserError, match=r'is ALL-IDB2, .* use --config=configs/detection\.py'):
            datasets.load(DataOptions('folder', str(place), 'classes', size=32), 0)


def test_the_classes_are_told_before_anything_is_read(root, caplog):
    (root / 'normal' / '1-0.png').write_bytes(b'damaged')
    (root / 'other').mkdir()
    with caplog.at_level('INFO', 'alljax'), pytest.raises(UserError, match='1-0'):
        datasets.load(DataOptions('folder', str(root), 'classes', size=32), 0)
    assert '4 cells (blast 2, normal 2) in 4 groups (patients, slides and repeats are unknown)' in caplog.text
    assert 'other: empty' in caplog.text


def test_what_is_found_later_is_told_although_the_cells_are_cached(root):
    options = DataOptions('folder', str(root), 'classes', size=32)
    before = datasets.load(options, 0)
    (root / 'normal' / 'notes.txt').write_text('x')
    after = datasets.load(options, 0)
    assert after.origin.fingerprint == before.origin.fingerprint
    assert len(after.origin.notes) == len(before.origin.notes) + 1
    (root / 'groups.csv.txt').write_text('x')
    with pytest.raises(UserError, match=r'groups\.csv\.txt: is not read'):
        datasets.load(options, 0)
