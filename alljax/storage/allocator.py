"""The memory that the C library of Linux hands out: what is freed is kept, and handed out again.

XLA asks for the temporaries of a training step anew at each step, half a gigabyte for AlexNet. By itself glibc gives
blocks of that size back to the kernel, which clears each page again when it is touched next.
"""

import ctypes
import os
from collections.abc import Mapping

# of mallopt(3), in <malloc.h>, and the variables by which a user says the same
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
LIMITLESS = 2**31 - 1  # bytes
USERS = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_MMAP_MAX_', 'MALLOC_ARENA_MAX', 'GLIBC_TUNABLES')


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Has this process keep what it frees, for the next step; true if it does so from now on.

    False, and nothing is changed, where the C library is not glibc, or the environment already says how glibc hands
    out memory. One arena serves all threads, because only the first of them can hold blocks of this size: it has to be
    asked for before a thread has one of its own, so before JAX is imported.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None or any(name in environment for name in USERS):
        return False
    return all(mallopt(*option) for option in ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, LIMITLESS)))
