"""A smaller training side, by groups or by cells, for learning curves: a larger one holds every smaller one."""

import numpy as np
from jaxtyping import Integer

from alljax.data.cells import Cells

Index = Integer[np.ndarray, ' _']


def thinned(cells: Cells, train: Index, groups: int, each: int, draw: int) -> Index:
    """Training indices of at most `groups` groups of each class and then at most `each` cells of a class; 0 is all.

    The order in which groups and cells come is drawn once for all cells by `draw`, so that with a larger number those
    of a smaller one stay. Cells of another class in a group that was drawn for one class are not taken along.
    """
    rng = np.random.default_rng([draw, 7])
    group_place, cell_place = rng.permutation(len(cells.group_names)), rng.permutation(len(cells))
    kept = []
    for label in range(len(cells.classes)):
        members = train[cells.labels[train] == label]
        if groups:
            order = sorted(set(cells.groups[members].tolist()), key=lambda group: group_place[group])
            members = members[np.isin(cells.groups[members], order[:groups])]
        if each:
            members = members[np.argsort(cell_place[members])][:each]
        kept.append(members)
    return np.sort(np.concatenate(kept)) if groups or each else train
