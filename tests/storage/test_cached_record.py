"""Records of the cache: what a disk has changed is never believed."""

import pytest

from alljax.storage import cached_record

VALUES = {'pairs': [['a.png', 'b.png', 'same pixels', 0.875, True], ['ä', 'c', 'shifted', 1.0, False]]}


@pytest.fixture
def path(tmp_path):
    cached_record.write(tmp_path / 'record.json', VALUES)
    return tmp_path / 'record.json'


def test_a_record_is_read_as_it_was_written(path, tmp_path, caplog):
    assert cached_record.read(path) == VALUES
    assert cached_record.read(tmp_path / 'none.json') is None
    assert not caplog.text


def test_no_flipped_bit_gives_other_values(path):
    good = path.read_bytes()
    for place in range(8 * len(good)):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        assert cached_record.read(path) in (None, VALUES), bad


@pytest.mark.parametrize('content', [b'', b'{"pairs": []}', b'[1]', b'\xff', None])
def test_a_damaged_record_is_told_and_replaced(path, content, caplog):
    path.unlink()
    path.write_bytes(content) if content is not None else path.mkdir()
    assert cached_record.read(path) is None
    assert f'{path}: ' in caplog.text
    assert 'it is part of the cache, and made again' in caplog.text
    cached_record.write(path, VALUES)
    assert cached_record.read(path) == VALUES
