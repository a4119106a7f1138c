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
    monkeypatch.setenv('LOKY_MAX_CPU_COUNT', '2')
    together, told = searched(files)
    assert [field.path for field in together] == files
    assert together == told
    assert str(together) == str(alone)
    assert len(alone[0].boxes) == len(painted.CENTERS)
    assert 'is no image' in alone[1].error


def test_a_process_that_is_killed_is_told_for_its_field(monkeypatch):
    monkeypatch.setenv('LOKY_MAX_CPU_COUNT', '2')
    monkeypatch.setattr(field_search, '_in_process', lambda *field, bars: os.kill(os.getpid(), signal.SIGKILL))
    with field_search.begun([Path('a.png')], None) as search:
        (found,) = search
    assert found.error == field_search.MEMORY


def test_no_field_that_can_be_searched_is_an_error():
    with pytest.raises(UserError, match='none of the fields can be searched'):
        field_search.all_of([SearchedField(Path('a.png'), 'a', error='is damaged')], 1, lambda field: None)
