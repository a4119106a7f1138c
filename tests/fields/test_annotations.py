"""Annotations of fields: every format read to the same boxes, and whatever cannot be right told and left out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax.errors import UserError
from alljax.fields import annotations
from alljax.fields.annotations import FORMATS, picture_size
from alljax.fields.annotations.picture_lookup import by_stem, pictures_called
from alljax.fields.annotations.yolo import class_names

BOXES = np.array([[10, 20, 30, 40], [50, 10, 20, 20]], float)
LABELS = ('WBC', 'blast')
BCCD = Path(__file__).parents[3] / 'shared' / 'data' / 'bccd_fields'


def picture(folder, name='a.png', size=(100, 80)):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (200, 180, 190)).save(folder / name)


def voc(boxes=BOXES, labels=LABELS, name='a.png', size=(100, 80)):
    objects = ''.join(
        f'<object><name>{label}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>'
        '</bndbox></object>'
        for (x, y, w, h), label in zip(boxes, labels, strict=True)
    )
    size = f'<size><width>{size[0]}</width><height>{size[1]}</height></size>' if size else ''
    return f'<annotation><filename>{name}</filename>{size}{objects}</annotation>'


def yolo(boxes=BOXES, size=(100, 80)):
    rows = []
    for kind, (x, y, w, h) in enumerate(boxes):
        rows.append((kind, (x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1]))
    return '\n'.join(' '.join(map(str, row)) for row in rows)


def coco():
    cells = [{'image_id': 7, 'category_id': n, 'bbox': box.tolist()} for n, box in enumerate(BOXES)]
    names = [{'id': n, 'name': label} for n, label in enumerate(LABELS)]
    images = [{'id': 7, 'file_name': 'images/a.png', 'width': 100, 'height': 80}]
    return json.dumps({'images': images, 'annotations': cells, 'categories': names})


def table(separator=','):
    rows = [('File', 'left', 'top', 'width', 'height', 'class')]
    rows += [('a.png', *box, label) for box, label in zip(BOXES, LABELS, strict=True)]
    return '\n'.join(separator.join(map(str, row)) for row in rows)


def corners():
    cells = zip(BOXES, LABELS, strict=True)
    rows = [f'C:\\data\\a.png,100,80,{label},{x},{y},{x + w},{y + h}' for (x, y, w, h), label in cells]
    return '\n'.join(['filename,width,height,class,xmin,ymin,xmax,ymax', *rows])


@pytest.mark.parametrize(
    ('file', 'text', 'name'),
    [
        ('a.xml', voc(), 'pascal_voc'),
        ('Annotations/a.xml', '<?xml version="1.0"?>\n' + voc(), 'pascal_voc'),
        ('a.txt', yolo(), 'yolo'),
        ('labels/a.txt', yolo(), 'yolo'),
        ('instances.json', coco(), 'coco'),
        ('boxes.csv', table(), 'csv'),
        ('boxes.csv', 'sep=;\n' + table(';'), 'csv'),
        ('train.csv', corners(), 'csv'),
    ],
)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_formats_are_told_by_content_and_read_to_the_same_boxes(tmp_path, file, text, name, encoding):
    picture(tmp_path)
    (tmp_path / 'classes.txt').write_text('WBC\nblast\n')
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(text.replace('\n', '\r\n').encode(encoding))
    found = annotations.read(tmp_path)
    assert (found.format, found.problems) == (name, ())
    (marks,) = found.marks
    assert marks.field == 'a.png'
    assert marks.labels == LABELS
    np.testing.assert_allclose(marks.boxes, BOXES)
    np.testing.assert_allclose(marks.centers, [[25, 40], [60, 20]])
    assert set(FORMATS) >= {name}


@pytest.mark.parametrize(('file', 'text'), [('xyc/a.xyc', '25 40\r\n60 20\r\n'), ('Label/a.txt', '25 40 4\n60 20 4\n')])
def test_centers_have_no_boxes(tmp_path, file, text):
    picture(tmp_path, 'im/a.png')
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_bytes(text.encode())
    found = annotations.read(tmp_path)
    assert found.format == 'xyc'
    assert found.marks[0].boxes is None
    np.testing.assert_array_equal(found.marks[0].centers, [[25, 40], [60, 20]])
    assert set(found.labels()) == ({'4'} if file.endswith('txt') else {''})


def test_an_empty_file_is_a_field_without_cells(tmp_path):
    for name in 'ab':
        picture(tmp_path, f'{name}.png')
    (tmp_path / 'a.txt').write_text(yolo())
    (tmp_path / 'b.txt').write_text('\n')
    found = annotations.read(tmp_path)
    assert [(marks.field, len(marks.centers)) for marks in found.marks] == [('a.png', 2), ('b.png', 0)]
    assert found.labels() == {'0': 1, '1': 1}  # a number where no file names the classes


def test_boxes_win_over_centers_and_two_formats_of_boxes_have_to_be_chosen(tmp_path):
    picture(tmp_path)
    (tmp_path / 'a.xyc').write_text('25 40\n')
    (tmp_path / 'a.xml').write_text(voc())
    assert annotations.read(tmp_path).format == 'pascal_voc'
    assert annotations.read(tmp_path, name='xyc').format == 'xyc'
    (tmp_path / 'a.txt').write_text(yolo())
    with pytest.raises(UserError, match=r'in 2 formats, pascal_voc \(a.xml\), yolo \(a.txt\); choose with --format'):
        annotations.read(tmp_path)
    assert annotations.read(tmp_path, name='yolo').format == 'yolo'


def test_marks_that_cannot_be_right_are_told_and_left_out(tmp_path):
    picture(tmp_path)
    bad = [[200, 10, 20, 20], [5, 5, 0, 9], [30, 30, 9, 9], [10, 20, 30, 40], [-8, 60, 30, 30]]
    labels = ['blast', 'WBC', '', 'WBC', 'WBC']
    (tmp_path / 'a.xml').write_text(voc([*BOXES, *bad], [*LABELS, *labels]))
    found = annotations.read(tmp_path)
    said = '\n'.join(found.problems)
    assert len(found.problems) == 4
    assert 'a.xml: blast at 210, 20 lies outside of the picture (100 × 80); correct or delete it' in said
    assert 'WBC at 5, 10 has no width or no height' in said
    assert 'a mark at 34, 34 has no class; name it, or delete the mark' in said
    assert 'WBC at 25, 40 is marked twice; one is taken' in said
    np.testing.assert_allclose(found.marks[0].boxes, [*BOXES, [0, 60, 22, 20]])  # at the border of the picture
    np.testing.assert_allclose(found.marks[0].centers[-1], [7, 75])  # of the whole cell


@pytest.mark.parametrize(
    ('files', 'said'),
    [
        ({'a.xml': voc(size=(200, 160))}, r'is about a picture of 200 × 160 pixels, but a.png has 100 × 80'),
        ({'a.xml': voc(size=(80, 100))}, r'of 80 × 100 pixels, turned by a quarter, but a.png has'),
        ({'a.xml': voc(name='b.png'), 'b.png': None}, r'a.xml: names b.png, but is called like a.png'),
        ({'c.xml': voc(name='c.png')}, r'c.xml: is about c.png, of which there is no picture'),
        ({'x/a.xml': voc(), 'y/a.xml': voc()}, r'y/a.xml: marks a.png, as x/a.xml does; keep one'),
        ({'x/b.png': None, 'y/b.png': None, 'b.xml': voc(name='b.png')}, r'several \(x/b.png, y/b.png\)'),
        ({'b.png': None, 'b.xml': '<html/>', 'a.xml': voc()}, r'b.xml: is called like a picture, but is no pascal_voc'),
        ({'a.xml': voc()[:-20]}, r'a.xml: is damaged XML'),
        ({'a.xml': voc().replace('<xmax>40.0</xmax>', '')}, r'object 1 has no xmax in its bndbox'),
        ({'a.xml': voc().replace('40.0', 'forty')}, r"object 1 has '10.0 20.0 forty 60.0', expected numbers"),
        ({'a.txt': '0 .5 .5 .2 .2\n0 .5 .5 .2'}, r'a.txt: line 2 has 4 numbers, expected class x y width height'),
        ({'a.txt': '0 .5 .5 .2 .2\n9 .5 .5 .2 .2', 'classes.txt': 'WBC'}, r'line 2 is of class 9, but the classes are'),
        (
            {'a.txt': yolo(), 'data.yaml': 'names: [WBC, blast'},
            r'a.txt: cannot be read, since data.yaml names no',
        ),
        ({'a.txt': yolo(), 'data.yaml': 'names: {WBC: 0}'}, r'names no classes by number \(.*\); correct data.yaml'),
        ({'a.txt': yolo(), 'data.yaml': 'names: 2'}, r'data.yaml names no classes by number \(.*\); correct data.yaml'),
        ({'a.xyc': '20 30\n20'}, r'a.xyc: line 2 has 1 words, expected x y'),
        ({'a.json': '{"images": 3, "annotations": []}'}, r'is no COCO file \(TypeError: .*\); export it again'),
        ({'a.json': coco()[:-9]}, r'a.json: is damaged JSON'),
        ({'a.json': coco().replace('[10.0, 20.0, 30.0, 40.0]', 'null')}, r'annotation 1 has no bbox'),
        ({'a.csv': 'file,x,y,width,height\na.png,1,2,3,4'}, r'x, y may be the corner of a box or its center'),
        ({'a.csv': 'file,x,y\na.png,1,two'}, r"a.csv: line 2 has '1 two', expected numbers"),
    ],
)
def test_files_that_cannot_be_used_are_told(tmp_path, files, said):
    picture(tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if text is None:
            picture(tmp_path, name)
        else:
            (tmp_path / name).write_text(text)
    found = annotations.read(tmp_path)
    assert len(found.problems) == 1
    assert re.search(said, found.problems[0])


def test_a_wrong_name_inside_a_file_is_noted_where_it_is_clear_what_is_meant(tmp_path):
    picture(tmp_path)
    (tmp_path / 'a.xml').write_text(voc(name='IMG_0001.JPG'))
    found = annotations.read(tmp_path)
    assert len(found.marks) == 1
    assert found.notes == ('a.xml: names IMG_0001.JPG, which is not there; taken for a.png, which it is called like',)


def test_white_cells_are_taken_unless_labels_are_chosen(tmp_path):
    picture(tmp_path)
    boxes = [*BOXES, [70, 50, 9, 9], [80, 60, 0, 0]]
    (tmp_path / 'a.xml').write_text(voc(boxes, ['WBC', 'RBC', 'Platelets', 'RBC']))
    found = annotations.read(tmp_path)
    assert (found.labels(), found.problems) == ({'WBC': 1}, ())  # the red cell without a size is of no interest
    assert found.notes == ('left out, as no white cells: RBC 2, Platelets 1; --label takes them',)
    assert annotations.read(tmp_path, ['rbc', 'WBC']).labels() == {'WBC': 1, 'RBC': 1}
    with pytest.raises(UserError, match=r"--label Platelet: no cell has it, did you mean 'Platelets'\?"):
        annotations.read(tmp_path, ['Platelet'])


def test_folders_without_anything_to_read_are_refused(tmp_path):
    with pytest.raises(UserError, match='there is no such folder; correct FIELDS'):
        annotations.read(tmp_path / 'none')
    with pytest.raises(UserError, match='holds no pictures'):
        annotations.read(tmp_path)
    picture(tmp_path)
    (tmp_path / 'README.txt').write_text('Fields of a slide.')
    with pytest.raises(UserError, match=r'no annotations in a format that is read: pascal_voc \(.xml\), yolo'):
        annotations.read(tmp_path)
    (tmp_path / 'a.xml').write_text('<html>404</html>')
    with pytest.raises(UserError, match=r'a.xml, called like pictures, are in none of them; correct these'):
        annotations.read(tmp_path)
    (tmp_path / 'a.xml').write_text(voc(labels=['RBC', 'RBC']))
    with pytest.raises(UserError, match='mark RBC only, and no white cells; choose some with --label'):
        annotations.read(tmp_path)
    with pytest.raises(UserError, match=r"--format yollo: is no format, did you mean 'yolo'\?"):
        annotations.read(tmp_path, name='yollo')
    with pytest.raises(UserError, match='no annotations in the format coco; what it has is in pascal_voc'):
        annotations.read(tmp_path, name='coco')


def test_pictures_are_found_by_whatever_is_the_same_in_their_path():
    pictures = by_stem(['train/images/a.jpg', 'test/images/a.jpg', 'b.tif', 'b.png', 'Bild_ä.JPG'])
    assert pictures_called('D:\\set\\test\\images\\a.jpg', 'x.csv', pictures) == ('test/images/a.jpg',)
    assert len(pictures_called('a', 'labels/a.txt', pictures)) == 2
    assert pictures_called('a', 'test/images/a.txt', pictures) == ('test/images/a.jpg',)
    assert pictures_called('b.png', 'b.xml', pictures) == ('b.png',)
    assert pictures_called('bild_a\u0308.jpg', 'x.csv', pictures) == ('Bild_ä.JPG',)
    assert pictures_called('c', 'c.txt', pictures) == ()


@pytest.mark.parametrize(
    'text', ["names: ['a b', 'c']", 'nc: 2\nnames:\n- a b\n- c\nval: x', 'names:\n  0: a b\n  1: "c"  # the last\n']
)
def test_class_names_of_a_data_yaml(tmp_path, text):
    (tmp_path / 'data.yaml').write_text(text)
    (tmp_path / 'labels').mkdir()
    assert class_names(tmp_path / 'labels', tmp_path) == {0: 'a b', 1: 'c'}


def test_a_turned_picture_has_the_size_that_is_seen(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
    assert picture_size(tmp_path / 'a.jpg') == (20, 40)
    (tmp_path / 'a.xyc').write_text('5 30\n')
    Image.new('RGB', (40, 20)).save(tmp_path / 'b.jpg')
    (tmp_path / 'b.xyc').write_text('30 5\n')
    found = annotations.read(tmp_path)
    assert found.marks[0].centers.tolist() == [[5, 30]]  # outside of the pixels as they are stored
    assert len(found.notes) == 1
    assert found.notes[0].startswith('a.jpg: turned or mirrored by an orientation tag (EXIF)')


@pytest.mark.skipif(not BCCD.is_dir(), reason='the fields of BCCD are not here')
def test_the_fields_of_bccd():
    found = annotations.read(BCCD)
    assert (found.format, len(found.marks), found.labels(), found.problems) == ('pascal_voc', 40, {'WBC': 41}, ())
