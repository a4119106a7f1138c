"""The files that cells were read from."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from alljax.data import cell_files, datasets
from alljax.data.datasets import DataOptions
from alljax.errors import UserError


def test_files_are_found_however_their_accents_are_written(tmp_path):
    """As macOS writes them: each accent a letter of its own, which no file system of Linux takes for the other form."""
    rng = np.random.default_rng(0)
    names = [unicodedata.normalize('NFD', 'Blüte/José.png'), 'Blüte/é.png', 'normal/a.png', 'normal/b.png']
    for name in (unicodedata.normalize('NFD', name) for name in names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / name)
    cells = datasets.load(DataOptions('folder', str(tmp_path), 'classes', 64), 0)
    assert not all((tmp_path / name).is_file() for name in cells.names)
    assert sorted(cell_files.of_cells(cells)) == sorted(tmp_path.rglob('*.png'))
    (tmp_path / 'normal/b.png').unlink()
    with pytest.raises(UserError, match=r'normal/b.png is no longer there; restore it'):
        cell_files.of_cells(cells)
