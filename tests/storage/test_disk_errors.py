"""Folders that cannot be written are told before any work."""

import pytest

from alljax.errors import UserError
from alljax.storage.disk_errors import expect_writable


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / 'there').mkdir()
    for folder in (tmp_path / 'there', tmp_path / 'new' / 'deep'):
        expect_writable(folder, '--to')
    assert [path.name for path in tmp_path.rglob('*')] == ['there']


@pytest.mark.parametrize('name', ['file', 'file/below', 'x' * 300, 'link'])
def test_a_folder_that_cannot_be_made_is_told(tmp_path, name):
    (tmp_path / 'file').touch()
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere' / 'at all')
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError, match=r'^--to .*: cannot be written \(.*\); name another folder$'):
        expect_writable(tmp_path / name, '--to')
    assert sorted(tmp_path.rglob('*')) == before
