"""The memory that cells may take: a set that is larger stays on the disk, and is read in batches."""

import os
from contextlib import suppress
from pathlib import Path

from alljax.errors import UserError

FIELD = 'config.data.device_cache_mb'
SHARE = 4  # a set may take this part of the memory: what is computed from it needs some too
CONTROL_GROUPS = ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')  # of a container or job


def comfortable_mb() -> float:
    """A quarter of the memory of this machine, or of the container or job that this process runs in, in MB."""
    limits = [os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')]
    for path in CONTROL_GROUPS:
        with suppress(OSError, ValueError):  # it has no limit, or the system no such groups
            limits.append(int(Path(path).read_text()))
    return min(limits) / SHARE / 1e6


def cells_mb(cells: int, size: int) -> float:
    """The MB that so many cells of `size` pixels a side take in memory."""
    return cells * size * size * 3 / 1e6


def streams(cells: int, size: int, limit_mb: float | int | None) -> bool:
    """True if so many cells stay on the disk; None is the comfortable limit of this machine."""
    return cells_mb(cells, size) > (comfortable_mb() if limit_mb is None else limit_mb)


def refuse(root: object, cells: int, size: int, limit_mb: float | int | None, needs: tuple[str, ...]) -> None:
    """UserError, with all that `needs` the cells in memory, for a set that stays on the disk."""
    if not needs or not streams(cells, size, limit_mb):
        return
    limit = comfortable_mb() if limit_mb is None else limit_mb
    raise UserError(
        *(
            f'{need} needs all cells in memory, and those of {root} ({cells} of {size} pixels, '
            f'{cells_mb(cells, size):,.0f} MB) are more than {FIELD} ({limit:,.0f} MB), so they are read in batches; '
            f'leave it out, lower config.data.size, or raise {FIELD} on a machine that has the memory'
            for need in needs
        )
    )
