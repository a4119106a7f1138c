import numpy as np
import pytest
from PIL import Image

from alljax.data import datasets
from alljax.data.audit import audit
from alljax.data.audit.audit_files import write
from alljax.data.datasets import DataOptions
from alljax.errors import UserError


def load(root):
    return datasets.load(DataOptions('folder', str(root), 'classes', size=64), 0)


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for label in ('apple', 'pear'):
        (tmp_path / label).mkdir()
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (30, 30, 3), np.uint8)).save(tmp_path / label / f'{number}.png')
    return tmp_path


def problems(root):
    with pytest.raises(UserError) as caught:
        load(root)
    return '\n'.join(caught.value.problems)


def test_class_folders_name_the_classes(root):
    (root / 'README.md').write_text('beside the class folders')
    cells = load(root)
    assert cells.counts() == {'apple': 4, 'pear': 4}
    assert len(set(cells.groups)) == 8


def test_stray_files_are_left_out_with_a_note(root):
    (root / 'pear' / 'notes.txt').write_text('x')
    (root / 'pear' / '.hidden').write_text('x')
    cells = load(root)
    assert len(cells) == 8
    assert any('pear/notes.txt: no images' in note for note in cells.origin.notes)


def test_cells_csv_gives_labels_and_groups(root):
    lines = [f'{label}/{n}.png,{label},slide{n // 2}' for label in ('apple', 'pear') for n in range(4)]
    (root / 'cells.csv').write_text('\n'.join(['file,label,group', *lines]))
    cells = load(root)
    assert len(set(cells.groups)) == 2
    assert cells.group_names == ('slide0', 'slide1')


def test_cells_csv_and_folder_have_to_agree(root):
    (root / 'cells.csv').write_text('file,label\napple/0.png,pear\napple/9.png,apple\n')
    said = problems(root)
    assert 'apple/0.png is labelled pear but lies in apple/' in said
    assert 'apple/9.png named there but not in the folder' in said
    assert 'apple/1.png, apple/2.png, apple/3.png, pear/0.png and 3 more in the folder but not named there' in said


def test_a_grey_folder_is_accepted_but_grey_among_color_is_not(tmp_path, root):
    grey = tmp_path / 'grey'
    for label in 'ab':
        (grey / label).mkdir(parents=True)
        for n in range(2):
            noise = np.random.default_rng(ord(label) * 10 + n).integers(0, 256, (30, 30), np.uint8)
            Image.fromarray(noise).save(grey / label / f'{n}.png')
    assert len(load(grey)) == 4
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(root / 'apple' / '0.png')
    assert 'apple/0.png: is greyscale' in problems(root)


@pytest.mark.parametrize(
    ('make', 'expected'), [(None, 'no such folder'), ('empty', 'holds nothing'), ('flat', 'holds a.png')]
)
def test_folders_without_classes_are_told(tmp_path, make, expected):
    folder = tmp_path / 'f'
    if make:
        folder.mkdir()
    if make == 'flat':
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / 'a.png')
    assert expected in problems(folder)


def test_many_equal_files_are_told_in_a_few_lines_with_the_audit_that_groups_them(root):
    for label in ('apple', 'pear'):
        for path in list((root / label).glob('*.png')):
            for copy in range(3):
                (root / label / f'{path.stem}-{copy}-of-{label}.png').write_bytes(path.read_bytes())
        for number in range(4, 12):
            noise = np.random.default_rng(ord(label[0]) * number).integers(0, 256, (30, 30, 3), np.uint8)
            for copy in range(2):
                Image.fromarray(noise).save(root / label / f'{number}-{copy}.png')
    said = problems(root).splitlines()
    assert len(said) == 9
    assert sum('hold the same pixels' in line for line in said) == 8
    assert said[-1].startswith('and 16 more sets of equal images; alljax audit')
    write(audit(root))
    assert len(load(root)) == 64


def test_one_class_is_too_few(root):
    for path in (root / 'pear').iterdir():
        path.unlink()
    assert 'holds one class only (apple)' in problems(root)


@pytest.mark.slow
def test_real_cells_keep_their_slides(wbc):
    cells = load(wbc)
    assert len(cells) == 511
    assert len(cells.group_names) == 30
    assert cells.counts() == {'basophil': 100, 'eosinophil': 100, 'lymphocyte': 111, 'monocyte': 88, 'neutrophil': 112}
