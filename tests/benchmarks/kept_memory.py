"""The step of AlexNet with memory that is given back after each use, as glibc does, and kept, as `alljax train` does.

    python tests/benchmarks/kept_memory.py [--rounds 12]

One process changes between the two ways, and makes two steps in each after one that is not counted. Printed are medians
of the clock, of the processor in the program and in the kernel, and of the pages that the kernel had to clear.
"""

import argparse
import ctypes
import resource
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from alljax.storage import allocator

allocator.keep_freed_memory()  # as `alljax train` does: before the imports start threads, each with an arena of its own

from growth import processor
from train_step import ours

GIVEN_BACK = 128 * 1024  # bytes: from there on, by glibc's own measure
STEPS = 2


def give_back(libc: ctypes.CDLL) -> None:
    """Has this process do as glibc does by itself, but for the number of arenas, and return what it holds."""
    libc.mallopt(allocator.MMAP_MAX, 65536)
    libc.mallopt(allocator.TRIM_THRESHOLD, GIVEN_BACK)
    libc.malloc_trim(0)


def counted() -> np.ndarray:
    """Seconds of the clock, of the program, of the kernel, and page faults until now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.perf_counter(), used.ru_utime, used.ru_stime, used.ru_minflt])


def main() -> None:
    """Prints the two rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=12)
    rounds = parser.parse_args().rounds
    libc = ctypes.CDLL(None)
    ways = {'given back': lambda: give_back(libc), 'kept': allocator.keep_freed_memory}
    step, found = ours(augmented=False), {name: [] for name in ways}
    for _ in range(rounds):
        for name, begin in ways.items():
            begin()
            step()
            for _ in range(STEPS):
                before = counted()
                step()
                found[name].append(counted() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f'{processor()}, {rounds} rounds; peak memory {peak:.2f} GB')
    print(f'{"":12}{"s a step":>10}{"program":>10}{"kernel":>10}{"page faults":>14}')
    for name, rows in found.items():
        clock, program, kernel, faults = np.median(rows, 0)
        print(f'{name:12}{clock:10.2f}{program:10.2f}{kernel:10.2f}{faults:14,.0f}')


if __name__ == '__main__':
    main()
