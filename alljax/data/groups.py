"""Sets of cells that no split may separate: the groups that were there, joined wherever a pair was found."""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Int, Integer


def merged(
    groups: Sequence[str], pairs: Sequence[tuple[int, int]], unnamed: Collection[str] = frozenset()
) -> list[str]:
    """Each cell's group, joined by the pairs; a joined group bears the name of its first cell's.

    That is the first whose name is none of the `unnamed` ones, if there is any: the name of a patient or slide is kept.
    """
    names = sorted(dict.fromkeys(groups), key=lambda name: name in unnamed)
    numbers = {name: number for number, name in enumerate(names)}
    whole = connected([(numbers[groups[a]], numbers[groups[b]]) for a, b in pairs], len(numbers))
    first: dict[int, str] = {}
    for name in names:
        first.setdefault(int(whole[numbers[name]]), name)
    return [first[int(whole[numbers[name]])] for name in groups]


def repeats(files: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """The first file of all that show the same cell, for each of them; '' for a cell in no pair."""
    paired = {cell for pair in pairs for cell in pair}
    whole = connected(pairs, len(files)).tolist()
    first: dict[int, str] = {}
    return [first.setdefault(whole[cell], file) if cell in paired else '' for cell, file in enumerate(files)]


def members_of_each(numbers: Integer[np.ndarray, ' cells']) -> list[Int[np.ndarray, ' _']]:
    """The cells that bear each number, in their order; the numbers ascending, and negative ones left out."""
    order = np.argsort(numbers, kind='stable')
    order = order[numbers[order] >= 0]
    starts = np.unique(numbers[order], return_index=True)[1]
    return np.split(order, starts[1:]) if len(starts) else []


class Joined:
    """Nodes in sets, each alone at first, which pairs join one after the other."""

    def __init__(self, count: int):
        self.above = [*range(count)]  # a node of the same set that comes before it; the set's first node has itself

    def first(self, node: int) -> int:
        """The first node of a node's set."""
        above = self.above
        while above[node] != node:
            above[node] = node = above[above[node]]
        return node

    def join(self, one: int, other: int) -> None:
        """Makes one set of the sets of two nodes."""
        firsts = self.first(one), self.first(other)
        self.above[max(firsts)] = min(firsts)


def connected(pairs: Sequence[tuple[int, int]], count: int) -> Int[np.ndarray, ' count']:
    """The number of the connected set that each of `count` nodes is in, in the order of their first nodes."""
    joined = Joined(count)
    for pair in pairs:
        joined.join(*pair)
    return np.unique([joined.first(node) for node in range(count)], return_inverse=True)[1]
