"""A lock is held by one process, and by nobody once it has ended."""

import subprocess
import sys
import time

import pytest

from alljax.storage.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from alljax.storage.locks import locked
with locked(Path(sys.argv[1])):
    print('held', flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path, seconds):
    process = subprocess.Popen([sys.executable, '-c', HOLD, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'held\n'
    return process


def test_another_process_waits_or_is_refused_until_the_holder_is_killed(tmp_path):
    path = tmp_path / '.lock'
    process = holder(path, 60)
    with pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    process.kill()
    process.communicate()
    with locked(path, wait=False):
        pass


def test_a_lock_is_waited_for(tmp_path):
    process = holder(tmp_path / '.lock', 0.5)
    before = time.monotonic()
    with locked(tmp_path / '.lock'):
        assert time.monotonic() - before > 0.1
        assert process.wait(5) == 0
    process.communicate()
