"""Cheap features of cells: no network, nothing to download, one classical segmentation."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.baselines import extraction
from alljax.baselines.systems import WHOLE, System, putzu2014
from alljax.data import cell_files, image, stain
from alljax.data.audit.measurements import border_colors
from alljax.data.cells import Cells
from alljax.data.image import to_square
from alljax.storage import cache

SIDE = 128  # pixels at which the whole picture is measured: its colors and texture change little with the size
WHOLE_PICTURE = System(WHOLE, ('color', 'statistics', 'glcm'), ('svm',))
CELL = putzu2014  # the best classical system on real cells under white balance
CHUNK = 24  # pictures between two moves of the bar: about two seconds

Values = Float[np.ndarray, 'cells features']
Track = Callable[..., Iterable[Any]]  # items, desc and unit to the items, with a bar; or `silent`


def silent(items: Iterable[Any], **about: Any) -> Iterable[Any]:
    """The items, with no bar on the terminal."""
    return items


class Table(NamedTuple):
    """One set of features of all cells."""

    name: str
    values: Values
    segmented: bool = False  # of the cell alone, not of the whole picture


class Tables(NamedTuple):
    """All sets of features that an advice compares."""

    whole: Table
    balanced: Table  # the same after white balance
    cell: Table | None  # of the cell as a classical system finds it, after white balance
    shortcuts: Mapping[str, Values]  # what is not the cell, by a name of alljax.data.audit.shortcuts.MEANS

    @property
    def compared(self) -> tuple[Table, ...]:
        """Those by which the cells are classified."""
        return (self.whole, self.balanced, *([self.cell] if self.cell else []))


def measure(cells: Cells, track: Track = silent) -> Tables:
    """The features of cells, from the user's cache where it has them; a bar on the terminal shows how far it is."""
    folder = cache.folder('baselines')
    parts = [cells.images[start : start + CHUNK] for start in range(0, len(cells), CHUNK)]
    white = np.concatenate([stain.normalized(part, 'white_balance') for part in track(parts, desc='white balance')])
    whole, balanced = (
        extraction.rows(WHOLE_PICTURE, np.stack([to_square(image, SIDE) for image in images]), folder, CHUNK).values
        for images in (cells.images, white)
    )
    cell = extraction.rows(CELL(), white, folder, CHUNK).values
    return Tables(
        Table('whole picture', whole),
        Table('whole picture, white balance', balanced),
        Table(f'cell by {CELL.__name__}, white balance', cell, segmented=True),
        _shortcuts(cells),
    )


def _shortcuts(cells: Cells) -> dict[str, Values]:
    found = {
        'file size': np.log([[float(image.stat(file).st_size)] for file in cell_files.of_cells(cells)]),
        'border': np.stack([border_colors(image) for image in cells.images]),
    }
    return found if cells.sizes is None else {**found, 'image size': cells.sizes.astype(float)}
