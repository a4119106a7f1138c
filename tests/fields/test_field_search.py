"""The search of several fields at once: as one after the other, in their order, and a process that dies is told."""

import os
import signal
from pathlib import Path

import joblib
import painted_field as painted
import pytest
from PIL import Image

from alljax.errors import UserError
from alljax.fields import field_search
from alljax.fields.field_search import SearchedField


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A field, a file that is none, and part of the field."""
    folder = tmp_path_factory.mktemp('fields')
    pixels = painted.field()
    Image.fromarray(pixels).save(folder / 'a.png')
    (folder / 'broken.png').write_bytes(b'no picture')
    Image.fromarray(pixels[:, 195:]).save(folder / 'b.png')
    return [folder / 'a.png', folder / 'broken.png', folder / 'b.png']


def searched(files):
    told = []
    with field_search.begun(files, float(painted.WHITE)) as search:
        return field_search.all_of(search, len(files), told.append), told


@pytest.mark.slow
def test_processes_find_what_one_finds(files, monkeypatch):
    alone, _ = searched(files)
    assert joblib.cpu_count() == 1
    monkeypatch.setattr(joblib, 'cpu_count', lambda: 2)  # on a machine of one core too
    together, told = searched(files)
    assert [field.path for field in together] == files
    assert together == told
    assert str(together) == str(alone)
    assert len(alone[0].boxes) == len(painted.CENTERS)
    assert 'is no image' in alone[1].error


def test_a_field_whose_process_is_killed_is_told_and_the_others_are_searched(monkeypatch):
    def kill_or_count(field, cell_pixels, *, bars):
        if field.name == 'huge':
            os.kill(os.getpid(), signal.SIGKILL)
        return field._replace(cell_pixels=cell_pixels)

    monkeypatch.setattr(joblib, 'cpu_count', lambda: 2)  # on a machine of one core too
    monkeypatch.setattr(field_search, '_in_process', kill_or_count)
    with field_search.begun([Path('a.png'), Path('huge.png'), Path('b.png')], 60.0) as search:
        found = list(search)
    assert [field.error for field in found] == ['', field_search.MEMORY, '']
    assert [field.cell_pixels for field in found] == [60, 0, 60]


def test_no_field_that_can_be_searched_is_an_error():
    with pytest.raises(UserError, match='none of the fields can be searched'):
        field_search.all_of([SearchedField(Path('a.png'), 'a', error='is damaged')], 1, lambda field: None)
