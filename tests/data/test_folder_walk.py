"""The files of a folder: what is taken, what is left out and why, the same for every command."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from alljax.data import folder_walk, image_files
from alljax.data.audit.folder_listing import list_folder
from alljax.data.datasets import folder
from alljax.data.folder_walk import HIDDEN, MASKS


def save(path, seed=0, mode='RGB'):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, 'JPEG' if path.suffix in ('.jfif', '.jpe') else None)


@pytest.fixture
def root(tmp_path):
    for number, label in enumerate(('blast', 'normal')):
        for cell in range(3):
            save(tmp_path / 'cells' / label / f'{cell}.png', 10 * number + cell)
    return tmp_path / 'cells'


def taken(root):
    """The files that every reader of a folder takes, which are the same."""
    listed = sorted(record.file for record in folder.list_cells(root).records)
    assert sorted(path.relative_to(root).as_posix() for path in image_files.files([root])) == listed
    assert sorted(list_folder(root).files) == listed
    return listed


CELLS = [f'{label}/{cell}.png' for label in ('blast', 'normal') for cell in range(3)]


@pytest.mark.parametrize(
    'name',
    ['.ipynb_checkpoints', '__MACOSX', '.git', '@eaDir', '$RECYCLE.BIN', '.Trash-1000', 'System Volume Information'],
)
@pytest.mark.parametrize('level', ['', 'blast', 'blast/slide1'])
def test_hidden_and_tool_folders_are_skipped_at_every_level(root, name, level):
    save(root / level / name / 'deeper' / '0-checkpoint.png', 99)
    assert taken(root) == CELLS
    assert any(name in note and HIDDEN in note for note in folder.list_cells(root).notes)


@pytest.mark.parametrize('name', ['Thumbs.db', 'desktop.ini', '.DS_Store', '._0.png', '~$cells.xlsx'])
def test_files_of_other_programs_are_skipped(root, name):
    (root / 'normal' / name).write_bytes(b'x')
    assert taken(root) == CELLS


def test_links_are_followed_once(root, tmp_path):
    save(tmp_path / 'elsewhere' / 'slide1' / 'a.png', 7)
    (root / 'other').symlink_to(tmp_path / 'elsewhere')
    (root / 'blast' / 'self').symlink_to(root / 'blast')
    (root / 'normal' / 'above').symlink_to(tmp_path)
    (root / 'normal' / 'again').symlink_to(root / 'blast')
    (root / 'normal' / 'linked.png').symlink_to(tmp_path / 'elsewhere' / 'slide1' / 'a.png')
    assert taken(root) == sorted([*CELLS, 'other/slide1/a.png', 'normal/linked.png'])
    notes = '\n'.join(folder.list_cells(root).notes)
    for name in ('blast/self', 'normal/above', 'normal/again'):
        assert name in notes
    assert 'a link to a folder that is read already' in notes


def test_what_is_no_regular_file_is_never_opened(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root / 'normal')  # the path of a socket has to be short
    os.mkfifo('pipe.png')
    (root / 'normal' / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    (root / 'normal' / 'circle.png').symlink_to('circle.png')
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind('socket.png')
        listing = folder.list_cells(root)
        assert sorted(record.file for record in listing.records) == CELLS
        notes = '\n'.join(listing.notes)
        for said in (
            'pipe.png: left out (a named pipe)',
            'socket.png: left out (a socket)',
            'normal/circle.png: left out (a link that leads nowhere',
            'normal/gone.png: left out (a link that leads nowhere',
        ):
            assert said in notes
        # predict gives each a line of its own
        assert {path.name for path in image_files.files([root])} >= {'pipe.png', 'gone.png', 'circle.png', 'socket.png'}


def test_folders_that_cannot_be_opened_are_told(root, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith('normal'):
            raise PermissionError(13, 'Permission denied')
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    assert folder_walk.walk(root).unreadable == (('normal', 'cannot be opened (Permission denied)'),)
    assert any('normal: cannot be opened' in said for said in folder.list_cells(root).problems)


@pytest.mark.parametrize('name', ['0_mask.png', '0-mask.png', '0_gt.png', '0_seg.png', 'mask_0.png', '0 label.tif'])
def test_masks_beside_images_are_left_out(root, name):
    save(root / 'blast' / name, 5, 'L')
    assert taken(root) == CELLS
    assert f'blast/{name}: left out ({MASKS})' in folder.list_cells(root).notes


@pytest.mark.parametrize('name', ['masks', 'Mask', 'ground_truth', 'GT', 'blast/masks', 'normal/segmentation masks'])
def test_folders_of_masks_are_left_out(root, name):
    save(root / name / '0.png', 5, 'L')
    assert taken(root) == CELLS


@pytest.mark.parametrize('name', ['masks/0.png', 'labels/0_label.png', 'GT/blast/2.png', 'seg/mask_1.png'])
def test_folders_of_colored_masks_are_left_out(root, name):
    save(root / name, 5)
    assert taken(root) == CELLS


@pytest.mark.parametrize('name', ['SEG', 'seg', 'GT', 'labels', 'Segmentation'])
def test_a_class_that_is_called_like_masks_is_one(root, name):
    for cell in range(3):
        save(root / name / f'{name}_{cell + 10}.png', 5 + cell)
    assert taken(root) == sorted([*CELLS, *(f'{name}/{name}_{cell}.png' for cell in (10, 11, 12))])


def test_a_grey_png_of_the_same_name_is_a_mask(tmp_path):
    for label in 'ab':
        save(tmp_path / label / '001.bmp', ord(label))
        save(tmp_path / label / '001.png', 3, 'L')
    assert taken(tmp_path) == ['a/001.bmp', 'b/001.bmp']


def test_pictures_that_only_sound_like_masks_are_taken(tmp_path):
    for label in 'ab':
        for cell in range(2):
            save(tmp_path / label / f'{cell}_seg.png', ord(label) + cell)  # there is no other picture of the cell
    assert taken(tmp_path) == ['a/0_seg.png', 'a/1_seg.png', 'b/0_seg.png', 'b/1_seg.png']
    assert len(image_files.files([tmp_path / 'a'])) == 2
    save(tmp_path / 'masks' / 'x.png')
    assert image_files.files([tmp_path / 'masks']) == [tmp_path / 'masks' / 'x.png']


@pytest.mark.parametrize('suffix', ['.jfif', '.jpe', '.JPG'])
def test_further_names_of_read_formats_are_read(root, suffix):
    save(root / 'blast' / f'more{suffix}', 8)
    assert f'blast/more{suffix}' in taken(root)


def test_what_a_folder_holds_besides_is_logged(root, caplog):
    (root / 'normal' / 'notes.txt').write_text('x')
    (root / 'normal' / '9.heic').write_bytes(b'x')
    with caplog.at_level('WARNING', 'alljax'):
        assert len(image_files.files([root])) == 6
    assert 'normal/9.heic, normal/notes.txt: left out (no image format that is read)' in caplog.text
