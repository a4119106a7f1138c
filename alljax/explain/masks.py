"""The truth about a drawn cell: where its nucleus and its cytoplasm lie in the network's input."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from alljax.data import augment
from alljax.data.image import RgbImage
from alljax.data.synthetic import ground_truth
from alljax.runs import preparation
from alljax.runs.network import TrainedNetwork


class Masks(NamedTuple):
    """The parts of a cell at the size of the network's input."""

    nucleus: Bool[np.ndarray, 'size size']
    cytoplasm: Bool[np.ndarray, 'size size']  # the cell without its nucleus

    @property
    def regions(self) -> dict[str, Bool[np.ndarray, 'size size']]:
        """The masks that attributions are measured on."""
        return {'cell': self.nucleus | self.cytoplasm, 'nucleus': self.nucleus}


def of(path: Path, run: TrainedNetwork) -> tuple[Masks | None, str]:
    """The masks of a file of a drawn folder, at the input's size; None for any other file, with a note if it is odd."""
    parts, note = ground_truth.parts(path)
    return (None if parts is None else _at_input(parts, path, run)), note


def _at_input(parts: RgbImage, path: Path, run: TrainedNetwork) -> Masks:
    """Brought to the input as the image itself is; a pixel belongs to what covers most of it."""
    fitted = jnp.asarray(preparation.fit_mask(parts, path, run.card))[None]
    sized = np.asarray(augment.resize(fitted, run.model.input.size))[0] >= 128
    return Masks(sized[..., 0], sized[..., 1])
