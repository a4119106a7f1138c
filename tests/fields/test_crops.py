"""Crops out of fields: the pixels, the folder, and what keeps crops of ALL-IDB1 and ALL-IDB2 apart."""

import json

import numpy as np
import pytest
from PIL import Image

from alljax.data import all_idb, crops_record, datasets
from alljax.data.datasets import folder
from alljax.errors import UserError
from alljax.fields import annotations, crops, field_groups
from alljax.fields.crops import CropOptions
from alljax.fields.field_image import from_pixels


def numbered(height, width):
    """A picture whose red and green are the row and the column of each pixel."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)


def cut(pixels, center, size, scale=1.0):
    """A crop of a picture in memory."""
    return crops.cut(from_pixels(pixels), np.array(center), size, scale)


def fields(root, names=('Im001_1', 'Im002_1', 'Im003_0'), centers='20 30\n60.4 40.2\n'):
    root.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(numbered(80, 100) + np.array([0, 0, number], np.uint8)).save(root / f'{name}.png')
        (root / f'{name}.xyc').write_text('' if name.endswith('0') else centers)
    return root


@pytest.mark.parametrize('center', [(50.0, 40.0), (50.4, 40.4), (49.6, 39.6)])
def test_a_crop_has_its_center_in_the_middle(center):
    found = cut(numbered(80, 100), center, 9)
    assert found.shape == (9, 9, 3)
    assert abs(int(found[4, 4, 0]) - center[1]) <= 1
    assert abs(int(found[4, 4, 1]) - center[0]) <= 1
    np.testing.assert_array_equal(found[:, 0, 0], np.arange(9) + found[0, 0, 0])


def test_a_crop_is_completed_by_the_mirror_image():
    found = cut(numbered(80, 100), (99.5, 0.5), 9)
    np.testing.assert_array_equal(found[:, 0, 0], [3, 2, 1, 0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(found[0, :, 1], [95, 96, 97, 98, 99, 99, 98, 97, 96])
    assert cut(numbered(5, 4), (2.0, 2.0), 33).max() == 4  # mirrored again and again


def test_a_crop_is_scaled():
    found = cut(numbered(80, 100), (50.0, 40.0), 20, 2.0)
    assert found.shape == (20, 20, 3)
    np.testing.assert_allclose(found[5:15, 10, 0].astype(float), 20 + 2 * np.arange(5, 15) + 0.5, atol=1)


def test_the_folder_holds_classes_a_table_and_where_the_crops_come_from(tmp_path):
    found = annotations.read(fields(tmp_path / 'fields'))
    written = crops.write(tmp_path / 'out', found, CropOptions(33, unlabeled='blast'))
    assert (written.counts, written.fields, written.problems) == ({'blast': 4}, 2, ())
    assert (tmp_path / 'out' / 'cells.csv').read_text() == (
        'file,label,group\n'
        'blast/Im001_1_x20_y30.png,blast,Im001_1\nblast/Im001_1_x60_y40.png,blast,Im001_1\n'
        'blast/Im002_1_x20_y30.png,blast,Im002_1\nblast/Im002_1_x60_y40.png,blast,Im002_1\n'
    )
    pixels = np.asarray(Image.open(tmp_path / 'out' / 'blast' / 'Im001_1_x60_y40.png'))
    assert (pixels.shape, pixels[16, 16, :2].tolist()) == ((33, 33, 3), [40, 60])
    record = crops_record.read(tmp_path / 'out')
    assert record.fields == ('Im001_1.png', 'Im002_1.png')
    assert (record.format, record.all_idb1, record.grouped_by_field) == ('xyc', True, True)
    with pytest.raises(UserError, match='exists and is not an empty folder'):
        crops.write(tmp_path / 'out', found, CropOptions())


def test_fields_are_no_slides_unless_they_are_named(tmp_path):
    root = fields(tmp_path / 'fields', ('a-1', 'a-2', 'b-1'))
    found = annotations.read(root)
    crops.write(tmp_path / 'by_field', found, CropOptions(17))
    assert folder.list_cells(tmp_path / 'by_field').grouping == 'repeats only'
    names = field_groups.from_pattern('^([a-z])-', found.fields)
    assert names == {'a-1.png': 'a', 'a-2.png': 'a', 'b-1.png': 'b'}
    crops.write(tmp_path / 'by_slide', found, CropOptions(17, groups=names))
    listing = folder.list_cells(tmp_path / 'by_slide')
    assert listing.grouping == 'patient or slide'
    assert {record.group for record in listing.records} == {'a', 'b'}
    assert not [note for note in listing.notes if 'crops.json' in note]


def test_groups_are_named_by_a_table_or_refused(tmp_path):
    (tmp_path / 'groups.csv').write_text('field,group\na.jpg,1\nb.jpg,1\nc.jpg,2\n')
    assert field_groups.from_table(tmp_path / 'groups.csv', ['x/a.jpg', 'b.jpg']) == {'x/a.jpg': '1', 'b.jpg': '1'}
    with pytest.raises(UserError, match=r'groups.csv: has no group for d.jpg; add a line for each, field,group'):
        field_groups.from_table(tmp_path / 'groups.csv', ['a.jpg', 'd.jpg'])
    with pytest.raises(UserError, match=r'finds nothing in b.jpg'):
        field_groups.from_pattern('^a', ['a.jpg', 'b.jpg'])
    with pytest.raises(UserError, match='is no regular expression'):
        field_groups.from_pattern('(', ['a.jpg'])


def test_a_field_that_cannot_be_read_is_told_and_the_others_are_cut(tmp_path):
    root = fields(tmp_path / 'fields')
    found = annotations.read(root)
    data = (root / 'Im002_1.png').read_bytes()
    (root / 'Im002_1.png').write_bytes(data[:-60])
    for problems in (annotations.read(root).problems, crops.write(tmp_path / 'out', found, CropOptions(17)).problems):
        assert len(problems) == 1
        assert 'Im002_1.png: is damaged or truncated' in problems[0]
    assert crops_record.read(tmp_path / 'out').fields == ('Im001_1.png',)


def test_nothing_is_written_where_nothing_can_be_cut(tmp_path):
    root = fields(tmp_path / 'fields', ('a',), '20 30\n20 x\n')
    with pytest.raises(UserError, match=r"a.xyc: line 2 has '20 x', expected numbers"):
        crops.write(tmp_path / 'out', annotations.read(root), CropOptions())
    (root / 'a.xyc').write_text('')
    with pytest.raises(UserError, match='no cell is marked that could be cut out'):
        crops.write(tmp_path / 'out', annotations.read(root), CropOptions())
    assert not (tmp_path / 'out').exists()


def test_labels_are_folders_on_any_system_and_stay_as_written_in_the_table(tmp_path):
    root = fields(tmp_path / 'fields', ('a',), '20 30\n')
    (root / 'a.xyc').unlink()
    (root / 'boxes.csv').write_text('file,x,y,label\na.png,20,20,../../x\na.png,30,30,.\na.png,40,40,=1+1\n')
    crops.write(tmp_path / 'out', annotations.read(root), CropOptions(17))
    assert {path.name for path in (tmp_path / 'out').iterdir() if path.is_dir()} == {'_.._x', 'unnamed', '_1+1'}
    assert {record.label for record in folder.list_cells(tmp_path / 'out').records} == {'../../x', '.', '=1+1'}


def test_equal_places_and_equal_names_get_files_of_their_own(tmp_path):
    root = fields(tmp_path / 'fields', ('a',), '20.1 30\n20.8 30\n')
    fields(root / 'sub', ('a',))
    crops.write(tmp_path / 'out', annotations.read(root), CropOptions(17))
    assert sorted(path.name for path in (tmp_path / 'out' / 'cell').iterdir()) == [
        'a_x20_y30.png', 'a_x20_y30_2.png', 'sub_a_x20_y30.png', 'sub_a_x60_y40.png',
    ]  # fmt: skip


def test_crops_of_all_idb1_are_known_as_such(tmp_path):
    found = annotations.read(fields(tmp_path / 'fields'))
    crops.write(tmp_path / 'out', found, CropOptions(17, names={'': 'blast'}))
    (tmp_path / 'out' / 'normal').mkdir()
    Image.fromarray(numbered(17, 17)).save(tmp_path / 'out' / 'normal' / 'Im003_0_x8_y9.png')
    with (tmp_path / 'out' / 'cells.csv').open('a') as table:
        table.write('normal/Im003_0_x8_y9.png,normal,Im003_0\n')
    options = datasets.DataOptions('folder', str(tmp_path / 'out'), 'classes', 17)
    assert all_idb.which(datasets.load(options, 0)) == 'ALL-IDB1'
    (tmp_path / 'out' / 'crops.json').unlink()
    assert all_idb.which(datasets.load(options, 0)) == 'ALL-IDB1'  # by the names of the files
    (tmp_path / 'out' / 'crops.json').write_text('{')
    with pytest.raises(UserError, match=r'crops.json: is no JSON .* so it is not known what the crops were cut out of'):
        datasets.load(options, 0)


def test_crops_of_drawn_fields_are_drawn(tmp_path):
    root = fields(tmp_path / 'fields')
    (root / 'synthetic.json').write_text(json.dumps({'synthetic': True}))
    crops.write(tmp_path / 'out', annotations.read(root), CropOptions(17))
    assert not crops_record.read(tmp_path / 'out').all_idb1
    assert datasets.DataOptions('folder', str(tmp_path / 'out')).synthetic
    assert folder.list_cells(tmp_path / 'out').synthetic
