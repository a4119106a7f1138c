"""Work on many items by all cores, whose results come in the order of the items and are not held any longer."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

WAITING = 4  # items a core that are begun before the first result is taken

Item = TypeVar('Item')
Result = TypeVar('Result')


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` of each item, by as many threads as there are cores; at most a few results wait to be taken."""
    threads, rest = os.cpu_count() or 1, iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(work, item) for item in islice(rest, WAITING * threads))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
