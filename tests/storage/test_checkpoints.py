import os
import shutil
import subprocess

import numpy as np
import pytest

from alljax.errors import UserError
from alljax.storage import checkpoints, format_version, model_folder, tree_folder
from alljax.storage.card import Card

TREE = {'a': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3)}, 'count': np.array(3, np.int32)}


def equal(first, second):
    np.testing.assert_array_equal(first['a']['kernel'], second['a']['kernel'])
    np.testing.assert_array_equal(first['count'], second['count'])


def test_a_tree_comes_back(tmp_path):
    tree_folder.write_tree(tmp_path / 'tree', TREE)
    equal(tree_folder.read_tree(tmp_path / 'tree'), TREE)


def test_what_is_saved_is_the_state_at_the_call(tmp_path):
    saved = checkpoints.Checkpoints(tmp_path)
    tree = {'kernel': np.zeros(1_000_000, np.float32)}
    saved.save(1, tree, {'seed': 0})
    tree['kernel'][:] = 1  # as the next step does to donated buffers
    saved.wait()
    restored, position = saved.latest()
    assert not restored['kernel'].any()
    assert position == {'seed': 0, 'format': format_version.FORMAT}
    saved.close()


def test_all_whole_checkpoints_are_read_and_nothing_is_changed(tmp_path, caplog):
    assert checkpoints.kept(tmp_path / 'none') == []
    saved = checkpoints.Checkpoints(tmp_path)
    for step in (1, 2, 10):
        saved.save(step, TREE, {})
    saved.wait()
    saved.close()
    found = checkpoints.kept(tmp_path)
    assert [step for step, _ in found] == [2, 10]
    equal(found[0][1], TREE)
    (tmp_path / '10' / 'facts' / 'metadata').write_text('nothing')
    assert [step for step, _ in checkpoints.kept(tmp_path)] == [2]
    assert 'this checkpoint is damaged, and left out' in caplog.text
    assert (tmp_path / '10').is_dir()


def test_a_checkpoint_of_another_format_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, 'FORMAT', 99)  # as the release that wrote it has it
    saved = checkpoints.Checkpoints(tmp_path)
    saved.save(1, TREE, {})
    saved.wait()
    with pytest.raises(UserError, match='is of format 99, this release of alljax reads 1'):
        saved.latest()
    saved.close()


def test_an_interrupted_save_leaves_the_one_before(tmp_path):
    saved = checkpoints.Checkpoints(tmp_path)
    saved.save(1, TREE, {})
    saved.close()
    shutil.copytree(tmp_path / '1', tmp_path / '2.orbax-checkpoint-tmp')  # as a kill leaves it
    again = checkpoints.Checkpoints(tmp_path)
    equal(again.latest()[0], TREE)
    again.save(2, TREE, {})
    again.close()
    assert checkpoints.Checkpoints(tmp_path).latest() is not None


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk], capture_output=True).returncode
    ):
        pytest.skip('mounting a small file system needs root')
    yield disk
    subprocess.run(['umount', disk], check=True)


def test_a_full_disk_is_told_and_the_last_checkpoint_intact(small_disk):
    noise = np.random.default_rng(0).normal(size=400_000).astype(np.float32)
    saved = checkpoints.Checkpoints(small_disk / 'checkpoints')
    saved.save(1, {'kernel': noise}, {})
    saved.wait()
    saved.save(2, {'kernel': np.concatenate([noise, noise + 1])}, {})
    with pytest.raises(UserError, match=r'the disk is full.*goes on from the last good checkpoint'):
        saved.wait()
    saved.close()
    np.testing.assert_array_equal(checkpoints.Checkpoints(small_disk / 'checkpoints').latest()[0]['kernel'], noise)
    with pytest.raises(UserError, match='the disk is full'):
        model_folder.write(small_disk / 'model', {'kernel': np.concatenate([noise, noise])}, Card(()))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot be written'):
        model_folder.write(tmp_path / 'file' / 'model', TREE, Card(()))
    with pytest.raises(UserError, match='cannot be written'):
        checkpoints.Checkpoints(tmp_path / 'file' / 'checkpoints')
