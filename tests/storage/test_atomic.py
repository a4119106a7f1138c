"""Files that are there whole or not at all."""

import stat
from pathlib import Path

import pytest

from alljax.storage.atomic import write_whole


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path):
    path = tmp_path / 'groups.csv'
    path.write_bytes(b'old')
    path.chmod(0o600)
    write_whole(path, b'new')
    assert path.read_bytes() == b'new'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ['groups.csv']


def test_what_goes_wrong_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / 'groups.csv'
    path.write_bytes(b'old')
    monkeypatch.setattr(Path, 'replace', lambda *_: (_ for _ in ()).throw(OSError('no space')))
    with pytest.raises(OSError, match='no space'):
        write_whole(path, b'new')
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['groups.csv']
