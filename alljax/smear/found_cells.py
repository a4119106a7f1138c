"""The records of a smear: its fields, and the white cells that were found in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.fields import white_cells
from alljax.fields.boxes import Boxes
from alljax.fields.white_cells import Found
from alljax.predict import Row

NONE = white_cells.none()


class SearchedField(NamedTuple):
    """A field in which white cells were looked for; with an `error`, one that could not be read or searched."""

    path: Path
    name: str  # short, and no other field's
    size: tuple[int, int] = (0, 0)  # width, height
    found: Found = NONE
    cell_pixels: float = 0.0  # the diameter of a white cell
    scale: str = ''  # where that comes from, in words
    notes: tuple[str, ...] = ()
    error: str = ''

    @property
    def boxes(self) -> Boxes:
        """Left, top, width and height of each cell."""
        return self.found.boxes


class FoundCell(NamedTuple):
    """A white cell of a field with its crop and what the model says of it."""

    number: int  # from 1, over all fields
    field: SearchedField
    box: tuple[float, float, float, float]  # left, top, width, height, in pixels of the field
    crop: str  # its file, relative to the folder that is written
    row: Row
    heat_map: bytes = b''  # a JPEG file; empty where the model has none

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the box, x and y."""
        left, top, width, height = self.box
        return left + width / 2, top + height / 2

    def class_name(self, classes: Sequence[str]) -> str:
        """The most probable class; '' for a crop of which the model says nothing."""
        return '' if self.row.probabilities is None else classes[int(self.row.probabilities.argmax())]
