import csv
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from alljax.data import datasets
from alljax.data.datasets import DATASETS, DataOptions
from alljax.data.datasets.builder import CellsBuilder
from alljax.data.synthetic.folder import is_synthetic
from alljax.errors import UserError


@pytest.fixture(scope='module')
def pristine(tmp_path_factory):
    """A real-looking ALL_IDB2/ of 260 small noise crops: no synthetic.json."""
    root = tmp_path_factory.mktemp('idb') / 'ALL_IDB2'
    (root / 'img').mkdir(parents=True)
    rng = np.random.default_rng(0)
    with (root / 'subtypes.csv').open('w') as file:
        file.write('file,subtype\n')
        for number in range(1, 261):
            name = f'Im{number:03}_{int(number <= 130)}.tif'
            shape = (20, 24, 3) if number % 25 == 0 else (24, 24, 3)
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(root / 'img' / name)
            if number <= 130:
                file.write(f'{name},L{number % 3 + 1}\n')
    return root


@pytest.fixture
def root(pristine, tmp_path):
    shutil.copytree(pristine, tmp_path / 'data' / 'ALL_IDB2')
    return tmp_path / 'data' / 'ALL_IDB2'


def load(root, task='subtype'):
    return datasets.load(DataOptions('all_idb2', str(root), task, size=16), 0)


def problems(root, task='subtype'):
    with pytest.raises(UserError) as caught:
        load(root, task)
    return caught.value.problems


def test_both_tasks_load_and_need_no_tensorflow(pristine):
    cells = load(pristine)
    assert cells.classes == ('L1', 'L2', 'L3', 'normal')
    assert cells.counts() == {'L1': 43, 'L2': 44, 'L3': 43, 'normal': 130}
    assert cells.images.shape == (260, 16, 16, 3)
    assert load(pristine, 'detection').counts() == {'blast': 130, 'normal': 130}
    assert 'tensorflow' not in sys.modules


def test_root_all_idb2_and_img_are_the_same_folder(root):
    prints = {load(place).origin.fingerprint for place in (root.parent, root, root / 'img')}
    assert len(prints) == 1


def test_capital_extension_and_tiff_are_accepted(root):
    (root / 'img' / 'Im001_1.tif').rename(root / 'img' / 'Im001_1.TIF')
    (root / 'img' / 'Im140_0.tif').rename(root / 'img' / 'Im140_0.tiff')
    text = (root / 'subtypes.csv').read_text().replace('Im001_1.tif', 'Im001_1.TIF')
    (root / 'subtypes.csv').write_text(text)
    assert len(load(root)) == 260


def test_reading_again_gives_the_same_cells_and_a_change_gives_others(root):
    first, second = load(root), load(root)
    np.testing.assert_array_equal(first.images, second.images)
    assert first.origin == second.origin
    Image.fromarray(np.full((24, 24, 3), (9, 8, 7), np.uint8)).save(root / 'img' / 'Im001_1.tif')
    assert load(root).origin.fingerprint != first.origin.fingerprint


def test_reported_repeats_share_a_group_and_a_note_says_the_rest_is_unknown(pristine):
    cells = load(pristine)
    group = dict(zip(cells.names, cells.groups.tolist(), strict=True))
    assert group['img/Im025_1.tif'] == group['img/Im028_1.tif'] == group['img/Im031_1.tif']
    assert group['img/Im223_0.tif'] == group['img/Im257_0.tif'] != group['img/Im224_0.tif']
    assert len(set(group.values())) == 260 - 2 - 7
    assert any('no groups.csv' in note for note in cells.origin.notes)


def test_the_published_pair_of_equal_crops_is_no_mistake(root):
    shutil.copy(root / 'img' / 'Im223_0.tif', root / 'img' / 'Im257_0.tif')
    assert len(load(root)) == 260


def test_groups_csv_names_the_groups(root):
    with (root / 'groups.csv').open('w') as file:
        csv.writer(file).writerows([('file', 'group'), ('Im001_1.tif', 'a'), ('Im002_1.tif', 'a')])
    cells = load(root)
    group = dict(zip(cells.names, cells.groups.tolist(), strict=True))
    assert group['img/Im001_1.tif'] == group['img/Im002_1.tif'] != group['img/Im003_1.tif']


def test_extra_blasts_join_both_tasks(root):
    for subtype in ('L1', 'L3'):
        (root / 'extra' / subtype).mkdir(parents=True)
        noise = np.random.default_rng(ord(subtype[1])).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(noise).save(root / 'extra' / subtype / 'mine.png')
    assert load(root).counts() == {'L1': 44, 'L2': 44, 'L3': 44, 'normal': 130}
    assert load(root, 'detection').counts()['blast'] == 132


def test_missing_empty_and_wrong_folders_are_told_apart(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('')
    assert 'there is no such folder' in problems(tmp_path / 'absent')[0]
    assert 'holds nothing, expected ALL_IDB2/img/' in problems(tmp_path / 'empty')[0]
    assert 'is a file' in problems(tmp_path / 'file')[0]
    (tmp_path / 'ALL_IDB2' / 'img').mkdir(parents=True)
    assert any('260 of 260 files are missing' in said for said in problems(tmp_path, 'detection'))


def test_subtype_without_a_table_names_what_to_write(root):
    (root / 'subtypes.csv').unlink()
    (said,) = problems(root)
    assert 'subtypes.csv: is missing' in said
    assert 'file,subtype' in said
    assert len(load(root, 'detection')) == 260


def test_every_mistake_of_one_folder_is_told_in_one_go(root):
    img = root / 'img'
    whole = (img / 'Im002_1.tif').read_bytes()
    (img / 'Im002_1.tif').write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(img / 'Im003_1.tif')
    Image.fromarray(np.zeros((24, 24), np.uint16)).save(img / 'Im004_1.tif')
    (img / 'Im005_1.tif').rename(img / 'Im005_0.tif')
    shutil.copy(img / 'Im006_1.tif', img / 'Im015_1.tif')
    shutil.copy(img / 'Im008_1.tif', img / 'Im200_0.tif')
    shutil.copy(img / 'Im009_1.tif', img / 'Im009_1.tiff')
    (img / 'Im010_1.tif').unlink()
    (img / 'notes.txt').write_text('a stray file')
    rows = (root / 'subtypes.csv').read_text().splitlines()
    rows = [row for row in rows if 'Im011_1' not in row and 'Im010_1' not in row and 'Im005_1' not in row]
    rows = [
        row.replace('Im012_1.tif,L1', 'Im012_1.tif,L4').replace('Im013_1.tif,L2', 'Im013_1.tif,normal') for row in rows
    ]
    (root / 'subtypes.csv').write_text('\n'.join([*rows, 'Im999_1.tif,L1', 'Im014_1.tif,L3']) + '\n')
    said = '\n'.join(problems(root))
    for expected in (
        'Im002_1.tif: is damaged or truncated',
        'Im003_1.tif: is greyscale',
        'Im004_1.tif: is greyscale with 16 bits',
        'Im005_0.tif: the name says normal, but 001–130 are blasts',
        'img/Im006_1.tif, img/Im015_1.tif: hold the same pixels; delete all but one',
        'hold the same pixels under different labels',
        'Im009_1.tif and Im009_1.tiff: are the same number twice',
        '1 of 260 files are missing (Im010_1.tif)',
        'notes.txt: is not named as in ALL-IDB2',
        '1 blasts have no subtype (Im011_1.tif)',
        "Im012_1.tif has the subtype 'L4', expected L1, L2, L3 or normal",
        'Im013_1.tif is labelled normal, but its name says blast',
        'Im999_1.tif is not among the images',
        'Im014_1.tif named in more than one line',
    ):
        assert expected in said, expected
    assert len(said.splitlines()) == 14


def test_what_can_be_converted_is_with_a_note(root):
    color = np.random.default_rng(5).integers(0, 256, (24, 24, 3), np.uint8)
    Image.fromarray(color).quantize(32).save(root / 'img' / 'Im001_1.tif')
    Image.fromarray(color).convert('CMYK').save(root / 'img' / 'Im002_1.tif')
    notes = '\n'.join(load(root).origin.notes)
    assert 'img/Im001_1.tif: palette was converted to RGB' in notes
    assert 'img/Im002_1.tif: CMYK was converted' in notes


def test_misread_tables_are_told(root):
    (root / 'subtypes.csv').write_text('Im001_1.tif,L1\n')
    assert any("expected the header 'file,subtype'" in said for said in problems(root))


def test_tables_of_a_spreadsheet_are_read(root):
    text = (root / 'subtypes.csv').read_text().replace(',', ';')
    (root / 'subtypes.csv').write_text('\ufeff' + text, encoding='utf-8')
    assert load(root).counts()['L1'] == 43


def test_drawn_cells_are_known_as_drawn(drawn):
    cells = load(drawn)
    assert cells.origin.synthetic
    assert cells.origin.name == 'synthetic'
    assert len(cells.group_names) == 4
    assert all(is_synthetic(place) for place in (drawn, drawn / 'ALL_IDB2', drawn / 'ALL_IDB2' / 'img'))


def test_the_tfds_builder_serves_its_records(pristine, tmp_path):
    builder = CellsBuilder('all_idb2', DATASETS['all_idb2'], root=pristine, task='detection', data_dir=tmp_path)
    builder.download_and_prepare()
    source = builder.as_data_source('cells')
    assert len(source) == 260
    assert source[0]['image'].dtype == np.uint8
    assert list(tmp_path.rglob('*.array_record*'))
