"""The one form in which every room hands cells to another."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int32, Integer

from alljax.storage.streamed_pictures import Pictures, taken

# What cells of one group have in common, as far as anyone knows: a split keeps no more together than that.
Grouping = Literal['patient or slide', 'repeats only', 'unknown']
# The side of a cell in the split that comes with its set; 'other' for one that is on none of them.
Side = Literal['train', 'validation', 'test', 'other']


@dataclass(frozen=True)
class Origin:
    """The origin of cells, as results.json and the report print it."""

    name: str  # of the data set
    fingerprint: str  # SHA-256 over every file's name, label, group and pixels
    synthetic: bool  # drawn, not photographed
    root: str  # the folder that was read
    notes: tuple[str, ...] = ()  # what was converted or assumed while reading
    grouping: Grouping = 'unknown'


@dataclass(frozen=True)
class Cells:
    """Cells of one data set: pixels, what they are, and which of them must never be separated by a split."""

    images: Pictures  # uint8 [cells, height, width, 3]; of a set too large for memory they are read when asked for
    labels: Int32[np.ndarray, ' cells']
    groups: Int32[np.ndarray, ' cells']
    repeats: Int32[np.ndarray, ' cells']  # the same number for all pictures of one cell, -1 for a cell seen once
    names: tuple[str, ...]  # file names, relative to the root
    classes: tuple[str, ...]  # class name of each label
    group_names: tuple[str, ...]
    origin: Origin
    sizes: Int32[np.ndarray, 'cells 2'] | None = None  # width and height of each file, in pixels; None if not known
    sides: tuple[Side, ...] = ()  # of each cell, in the split that comes with the set; () where none does

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Integer[np.ndarray, ' chosen']) -> 'Cells':
        """The cells at `index`, in its order; pictures on the disk stay there."""
        return replace(
            self,
            images=taken(self.images, index),
            labels=self.labels[index],
            groups=self.groups[index],
            repeats=self.repeats[index],
            names=tuple(self.names[i] for i in index),
            sizes=None if self.sizes is None else self.sizes[index],
            sides=tuple(self.sides[i] for i in index) if self.sides else (),
        )

    def counts(self) -> dict[str, int]:
        """Cells per class, by class name."""
        return {name: int((self.labels == label).sum()) for label, name in enumerate(self.classes)}
