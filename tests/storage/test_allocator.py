"""What is freed stays with the process, unless the user has said how memory is handed out."""

import platform
import subprocess
import sys

import pytest

from alljax import commands
from alljax.storage import allocator

FAULTS = """
import resource, sys
import numpy as np
from alljax.storage.allocator import keep_freed_memory
kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = faults()
print(kept, first, faults())
"""


def measured(**environment):
    """What the function gave, and the page faults of two arrays of 64 MB, the one made where the other was."""
    said = subprocess.run([sys.executable, '-c', FAULTS], env=environment, capture_output=True, text=True, check=True)
    kept, *counts = said.stdout.split()
    return kept == 'True', *map(int, counts)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_a_block_that_was_freed_is_handed_out_without_page_faults():
    kept, first, second = measured()
    assert kept
    assert second < first / 10


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_what_the_environment_says_stands():
    kept, first, second = measured(MALLOC_MMAP_MAX_='65536')
    assert not kept
    assert second > first / 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, 'CDLL', lambda _: object())
    assert not allocator.keep_freed_memory({})


def test_what_computes_with_a_network_again_and_again_keeps_memory(monkeypatch, capsys):
    kept = []
    monkeypatch.setattr(commands, 'keep_freed_memory', lambda: kept.append(name))
    for name in commands.COMMANDS:
        with pytest.raises(SystemExit):
            commands.run(name, ['--no-such-option=1'])
    assert kept == ['train', 'predict', 'explain']
