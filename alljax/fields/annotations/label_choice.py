"""The labels whose cells are taken: those that are asked for, or all but red cells and platelets."""

from collections.abc import Mapping, Sequence

import numpy as np

from alljax.data.datasets.layout import plain
from alljax.errors import UserError, nearest, some
from alljax.fields.annotations.annotation_file import Marked

# As `plain` has them.
NO_WHITE_CELLS = frozenset(
    {'rbc', 'rbcs', 'red blood cell', 'red blood cells', 'red cell', 'red cells', 'erythrocyte', 'erythrocytes'}
    | {'platelet', 'platelets', 'thrombocyte', 'thrombocytes'}
)


def wanted(labels: Sequence[str], there: Mapping[str, int]) -> frozenset[str]:
    """The labels that are taken, as `plain` has them; `there` are all that the annotations have, with their cells.

    Without `labels` these are all but red cells and platelets. UserError for a label that no cell has, and where
    nothing is left.
    """
    every = some([label or '(none)' for label in there]) or 'none'
    for label in labels:
        if plain(label) not in {*map(plain, there)}:
            raise UserError(f'--label {label}: no cell has it{nearest(label, there)}; the labels are {every}')
    taken = frozenset(map(plain, labels)) or frozenset(map(plain, there)) - NO_WHITE_CELLS
    if there and not taken:
        raise UserError(f'the annotations mark {every} only, and no white cells; choose some with --label')
    return taken


def left_out(taken: frozenset[str], there: Mapping[str, int]) -> str:
    """The labels that are not taken, and their cells, in words; '' for none."""
    return some([f'{label or "(none)"} {count}' for label, count in there.items() if plain(label) not in taken])


def only(marked: Marked, taken: frozenset[str]) -> Marked:
    """The cells with one of the labels that are taken."""
    kept = np.array([plain(label) in taken for label in marked.labels], bool)
    return marked._replace(
        labels=tuple(label for label in marked.labels if plain(label) in taken),
        centers=marked.centers[kept],
        boxes=None if marked.boxes is None else marked.boxes[kept],
    )
