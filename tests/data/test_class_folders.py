"""Class folders of a model: which pictures have a class without it, and what groups them."""

import pytest
from PIL import Image

from alljax.data import image_files
from alljax.data.class_folders import BESIDE, class_of_folder, known_cells

CLASSES = ('large cell', 'Small', 'bl\u00e4st')


def pictures(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (200, 9, 9)).save(root / name)
    return root


def labels(found, root):
    return {path.relative_to(root).as_posix(): cell.label for path, cell in found.cells.items()}


def test_folders_are_compared_as_an_external_test_compares_labels(tmp_path):
    root = pictures(tmp_path, 'LARGE_Cell/a.png', 'small/slide 1/b.png', 'bla\u0308st/c.png', 'huge/d.png', 'e.png')
    found = known_cells([root], CLASSES)
    assert labels(found, root) == {
        'LARGE_Cell/a.png': 'large cell', 'small/slide 1/b.png': 'Small', 'bla\u0308st/c.png': 'bl\u00e4st'
    }  # fmt: skip
    assert found.others == {'huge': 1, BESIDE: 1}
    assert found.grouping == 'unknown'
    assert len({cell.group for cell in found.cells.values()}) == 3
    assert set(found.cells) < set(image_files.files([root]))  # under the very names that are predicted


def test_a_folder_without_class_folders_and_a_file_know_nothing(tmp_path):
    root = pictures(tmp_path, 'slide 1/a.png', 'slide 2/b.png', 'Small/c.png')
    for paths in ([root / 'slide 1'], [root / 'Small'], [root / 'Small' / 'c.png'], [root / 'absent']):
        assert not known_cells(paths, CLASSES).cells
        assert not known_cells(paths, CLASSES).others
    assert not known_cells([root], ('one', 'two')).cells


def test_class_folders_below_the_one_that_is_named_have_tables_of_their_own(tmp_path):
    root = pictures(tmp_path, 'test/small/a.png', 'test/small/b.png', 'more/Small/a.png')
    (root / 'test' / 'cells.csv').write_text('file,label,group\nsmall/a.png,Small,s1\nsmall/b.png,Small,s1\n')
    found = known_cells([root], CLASSES)
    assert labels(found, root) == dict.fromkeys(('test/small/a.png', 'test/small/b.png', 'more/Small/a.png'), 'Small')
    groups = {path.parent.parent.name: cell.group for path, cell in found.cells.items()}
    assert found.cells[root / 'test/small/a.png'].group == found.cells[root / 'test/small/b.png'].group
    assert groups['test'] != groups['more']
    assert found.grouping == 'unknown'  # of one of the two folders nothing is known


def test_tables_name_slides_and_a_line_counts_more_than_a_folder(tmp_path):
    root = pictures(tmp_path, 'Small/a.png', 'Small/b.png', 'odd/c.png')
    (root / 'cells.csv').write_text('file,label,group\na.png,Small,s1\nb.png,,s2\nodd/c.png,LARGE CELL,s2\n')
    found = known_cells([root], CLASSES)
    assert labels(found, root) == {'Small/a.png': 'Small', 'Small/b.png': 'Small', 'odd/c.png': 'large cell'}
    assert [cell.group for cell in found.cells.values()] == ['s1', 's2', 's2']
    assert found.grouping == 'patient or slide'
    (root / 'cells.csv').unlink()
    (root / 'groups.csv').write_text('file,group,repeat\nSmall/a.png,Small/a.png,x\nSmall/b.png,Small/a.png,x\n')
    found = known_cells([root], CLASSES)
    assert found.grouping == 'repeats only'
    assert len({cell.group for cell in found.cells.values()}) == 1


def test_what_is_wrong_with_a_table_is_told(tmp_path):
    root = pictures(tmp_path, 'Small/a.png')
    (root / 'cells.csv').write_text('name,kind\na.png,Small\n')
    found = known_cells([root], CLASSES)
    assert labels(found, root) == {'Small/a.png': 'Small'}
    assert 'expected the header' in found.problems[0]


@pytest.mark.parametrize(
    ('file', 'expected'),
    [('small/a.png', 'Small'), ('x/SMALL/large cell/a.png', 'Small'), ('small.png', ''), ('x/a.png', '')],
)
def test_the_outermost_class_folder_counts(file, expected):
    assert class_of_folder(file, CLASSES) == expected
