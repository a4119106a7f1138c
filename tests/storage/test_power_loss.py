"""What was reported as written is on the disk when the power fails; shown on an ext4 that is cut off."""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest

from alljax.errors import UserError
from alljax.storage import atomic, checkpoints, model_folder, run_folder
from alljax.storage.atomic import new_folder, write_whole
from alljax.storage.card import Card
from alljax.storage.checkpoints import Checkpoints

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN; with 2 nothing that is in memory reaches the disk any more
NO_FLUSH = struct.pack('I', 2)
CARD = Card(('a', 'b'), system={'segment': 'otsu'})


def ran(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


class Disk:
    """A small ext4 whose power can be cut."""

    def __init__(self, folder):
        self.image, self.root = folder / 'image', folder / 'disk'
        self.root.mkdir()
        with self.image.open('wb') as file:
            file.truncate(64 << 20)

    def mount(self):
        return ran('mount', '-o', 'loop', self.image, self.root)

    def cut_power(self):
        opened = os.open(self.root, os.O_RDONLY)
        fcntl.ioctl(opened, SHUTDOWN, NO_FLUSH)
        os.close(opened)

    def restart(self):
        for _ in range(50):  # a background save may hold files for a moment
            if not ran('umount', self.root).returncode:
                break
            time.sleep(0.1)
        again = self.mount()
        assert not again.returncode, again.stderr


@pytest.fixture
def disk(tmp_path, synced):
    found = Disk(tmp_path)
    if os.geteuid() or not shutil.which('mkfs.ext4'):
        pytest.skip('a file system of its own needs root and mkfs.ext4')
    made = ran('mkfs.ext4', '-q', '-F', found.image)
    mounted = made if made.returncode else found.mount()
    if mounted.returncode:
        pytest.skip(f'no file system can be mounted here: {mounted.stderr.strip()}')
    yield found
    ran('umount', found.root)


def tree(step):
    return {'kernel': np.full(50_000, step, np.float32), 'count': np.array(step, np.int32)}


@pytest.mark.slow
def test_all_that_was_written_outlives_a_loss_of_power(disk):
    (disk.root / 'unsynced').write_text('content')  # what this test would be worth nothing without
    with run_folder.opened(disk.root / 'run', {'seed': 0}):
        saved = Checkpoints(disk.root / 'run' / 'checkpoints')
        for step in range(1, 5):
            saved.save(step, tree(step), {'step': step})
        saved.wait()
        model_folder.write(disk.root / 'run' / 'model', tree(4), CARD)
        write_whole(disk.root / 'run' / 'report.html', b'page')
        disk.cut_power()
    saved.close()
    disk.restart()
    assert not (disk.root / 'unsynced').is_file() or not (disk.root / 'unsynced').stat().st_size
    assert run_folder.earlier(disk.root / 'run') == {'seed': 0}
    assert (disk.root / 'run' / 'report.html').read_bytes() == b'page'
    assert model_folder.read_variables(disk.root / 'run' / 'model')['count'] == 4
    again = Checkpoints(disk.root / 'run' / 'checkpoints')
    assert sorted(path.name for path in again.folder.iterdir()) == ['3', '4']
    assert again.latest()[1]['step'] == 4
    again.close()


@pytest.mark.slow
def test_power_that_fails_during_a_save_leaves_the_one_before(disk):
    rng, folder, reached = Random(0), disk.root / 'checkpoints', 0
    for _ in range(12):
        saved = Checkpoints(folder)
        found = saved.latest()
        assert (found[1]['step'] if found else 0) >= reached
        assert not found or found[0]['count'] == found[1]['step']
        step = found[1]['step'] if found else 0
        saved.save(step + 1, tree(step + 1), {'step': step + 1})
        saved.wait()
        reached = step + 1
        saved.save(step + 2, tree(step + 2), {'step': step + 2})
        time.sleep(rng.uniform(0, 0.15))
        disk.cut_power()
        with suppress(UserError):  # the save may have ended before
            saved.wait()
        saved.close()
        disk.restart()
    assert reached >= 12


@pytest.fixture
def events(monkeypatch):
    """('sync' or 'rename', path) in the order of the calls, where no disk can be had."""
    found = []
    sync, replace = os.fsync, Path.replace

    def synced(opened):
        found.append(('sync', Path(os.readlink(f'/proc/self/fd/{opened}'))))
        sync(opened)

    def replaced(path, target):
        found.append(('rename', Path(path)))
        return replace(path, target)

    monkeypatch.setattr(atomic.os, 'fsync', synced)
    monkeypatch.setattr(Path, 'replace', replaced)
    return found


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path, events):
    write_whole(tmp_path / 'facts.json', b'{}')
    (first, part), (second, renamed), (third, parent) = events
    assert (first, second, third) == ('sync', 'rename', 'sync')
    assert part == renamed
    assert parent == tmp_path


def test_all_in_a_folder_is_synced_before_it_is_renamed_and_its_parent_after(tmp_path, events):
    with new_folder(tmp_path / 'model') as part:
        (part / 'tree' / 'd').mkdir(parents=True)
        for name in ('facts.json', 'tree/manifest', 'tree/d/1'):
            (part / name).write_text(name)
    place = events.index(('rename', part))
    before = {path for _, path in events[:place]}
    assert before == {part, *(part / name for name in ('facts.json', 'tree', 'tree/manifest', 'tree/d', 'tree/d/1'))}
    assert events[place + 1 :] == [('sync', tmp_path)]


def test_an_older_checkpoint_goes_only_when_the_newer_is_on_the_disk(tmp_path, events, monkeypatch):
    delete = checkpoints.delete
    monkeypatch.setattr(checkpoints, 'delete', lambda path: events.append(('delete', path)) or delete(path))
    saved = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        saved.save(step, tree(step), {})
    saved.wait()
    saved.close()
    place = events.index(('delete', tmp_path / '1'))
    assert events[place - 1] == ('sync', tmp_path)
    assert events[place - 2][0] == 'rename'
    assert events[place - 2][1].name.startswith('.3.')
