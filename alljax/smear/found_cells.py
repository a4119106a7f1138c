"""The record of a white cell that was found in a field."""

from collections.abc import Sequence
from typing import NamedTuple

from alljax.fields.field_search import SearchedField
from alljax.predict import Row


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
