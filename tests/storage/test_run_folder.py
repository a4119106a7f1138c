"""A run folder belongs to one run and one process at a time, on a disk that has room for it."""

import shutil
from dataclasses import replace

import jax.numpy as jnp
import pytest
from helpers import make_cells

from alljax.errors import UserError
from alljax.runs import data_check
from alljax.storage import checkpoints, run_folder


def test_two_processes_cannot_share_a_folder(tmp_path):
    with (
        run_folder.opened(tmp_path, {'seed': 0}),
        pytest.raises(UserError, match='another process is running in it'),
        run_folder.opened(tmp_path, {'seed': 0}),
    ):
        pass
    with run_folder.opened(tmp_path, {'seed': 0}):  # the first has left it
        pass


def test_a_folder_knows_in_what_another_run_differs(tmp_path):
    assert run_folder.differences(tmp_path, {'seed': 0}) == []
    with run_folder.opened(tmp_path, {'seed': 0, 'factors': (('.*', 1.0),)}):
        pass
    assert run_folder.differences(tmp_path, {'seed': 0, 'factors': (('.*', 1.0),)}) == []
    assert run_folder.differences(tmp_path, {'seed': 1, 'factors': (('.*', 1.0),)}) == ['seed: 0 there, 1 now']
    later = {'new': 'off'}  # a field that the run lacks, and what it did
    assert run_folder.differences(tmp_path, {'seed': 0, 'factors': (('.*', 1.0),), 'new': 'off'}, later) == []
    assert run_folder.differences(tmp_path, {'seed': 0, 'factors': (('.*', 1.0),), 'new': 'on'}, later) == [
        "new: 'off' there, 'on' now"
    ]
    asked, later = {'seed': 0, 'factors': (('.*', 1.0),), 'loss.smoothing': 0.0}, {'loss.smoothing': 0.0, 'x': 1}
    assert run_folder.differences(tmp_path, asked, later) == []  # of a release that had no smoothing
    smoothed = {**asked, 'loss.smoothing': 0.1}
    assert run_folder.differences(tmp_path, smoothed, later) == ['loss.smoothing: 0.0 there, 0.1 now']
    with pytest.raises(UserError, match='holds a run of another config'), run_folder.opened(tmp_path, {'seed': 1}):
        pass


def test_a_full_disk_is_told_before_training(tmp_path, monkeypatch):
    state = {'kernel': jnp.zeros(1000, jnp.float32)}
    checkpoints.need_space(state, tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10_000))
    with pytest.raises(UserError, match='GB free, checkpoints need'):
        checkpoints.need_space(state, tmp_path)


def test_a_run_does_not_go_on_with_other_cells(tmp_path):
    cells = make_cells([0, 1])
    data_check.same_data(cells.origin.fingerprint, cells, tmp_path)
    changed = replace(cells, origin=replace(cells.origin, fingerprint='e' * 64))
    with pytest.raises(UserError, match='was trained on other cells than those now in /nowhere'):
        data_check.same_data(cells.origin.fingerprint, changed, tmp_path)


def test_a_refused_run_leaves_its_folder_to_the_corrected_command(tmp_path):
    def refused(made=None):
        if made:
            made.mkdir()
        raise UserError('a mistake')

    for _ in range(2):
        with pytest.raises(UserError, match='a mistake'), run_folder.opened(tmp_path / 'a', {'seed': 0}):
            refused()
        assert list((tmp_path / 'a').iterdir()) == []
    with run_folder.opened(tmp_path / 'a', {'seed': 1}):
        (tmp_path / 'a' / 'metrics.jsonl').touch()
    with pytest.raises(UserError, match='a mistake'), run_folder.opened(tmp_path / 'a', {'seed': 1}):
        refused()
    with pytest.raises(UserError, match='another config'), run_folder.opened(tmp_path / 'a', {'seed': 2}):
        pass
    with pytest.raises(UserError, match='a mistake'), run_folder.opened(tmp_path / 'b', {'seed': 0}):
        refused(tmp_path / 'b' / 'checkpoints')
    with pytest.raises(UserError, match='another config'), run_folder.opened(tmp_path / 'b', {'seed': 1}):
        pass
