"""The pictures of cells by the names of their files, as a report asks for them."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import UInt8

from alljax.data.cells import Cells

Picture = UInt8[np.ndarray, 'height width 3']


class PicturesByFile(Mapping[str, Picture]):
    """The picture of each file; those on the disk are read when they are asked for."""

    def __init__(self, cells: Cells):
        self.images, self.place = cells.images, {name: place for place, name in enumerate(cells.names)}

    def __getitem__(self, name: str) -> Picture:
        picture: Picture = self.images[self.place[name]]
        return picture

    def __contains__(self, name: object) -> bool:
        return name in self.place  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self.place)

    def __len__(self) -> int:
        return len(self.place)
