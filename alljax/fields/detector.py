"""A trained detector of white cells, as a finder: for fields whose colors do not tell them."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from alljax.errors import UserError
from alljax.fields.detector_network import STRIDE, Head, trunk
from alljax.fields.detector_windows import CELL_PIXELS, Heat, RgbImage, cells, scaled
from alljax.fields.finder import Averaged, Finder
from alljax.fields.survey import Survey
from alljax.fields.white_cells import Found
from alljax.models import Variables
from alljax.storage import model_folder
from alljax.storage.card import Card

CORE, MARGIN = 48 * STRIDE, 8 * STRIDE  # pixels of a block, and around it, as far as the network sees: one program
FROZEN, LEARNED = 'trunk', 'head'  # the parts of its variables


class Detector(NamedTuple):
    """A detector with all that finding cells needs."""

    variables: Variables  # of the frozen network, and of the head
    card: Card
    threshold: float  # chance of a middle from which on it is a cell
    width: int  # of the head


def load(path: Path) -> Detector:
    """The detector in a run folder of configs/detect.py; UserError if there is none."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    if card.detector is None or card.network is None:
        raise UserError(
            f'{path}: holds {card.model.get("name", "a model")}, which gives classes of cells and finds none; name the '
            'folder of a detector, as configs/detect.py trains it'
        )
    return Detector(model_folder.read_variables(folder), card, card.detector.threshold, card.detector.width)


def finder(detector: Detector, threshold: float | None = None) -> Finder:
    """The detector as tiles take it; `threshold` takes the place of its own."""
    least = detector.threshold if threshold is None else threshold

    def find(pixels: Averaged, look: Survey, origin: tuple[int, int]) -> Found:
        factor = CELL_PIXELS / look.diameter
        left, top = (start / look.step for start in origin)
        part = scaled(pixels, factor, left, top)
        said = heat(detector, part.pixels)
        found = cells(said, least, part.width, part.height)
        shift = np.array([part.left / factor - left, part.top / factor - top, 0, 0])
        boxes = found.boxes / factor + shift
        return found._replace(centers=boxes[:, :2] + boxes[:, 2:] / 2, boxes=boxes, areas=found.areas / factor**2)

    return Finder(find, by_color=False)


def heat(detector: Detector, pixels: RgbImage) -> Heat:
    """The chance of a middle and the four sides at each position of a picture's map."""
    rows, columns = (side // STRIDE for side in pixels.shape[:2])
    filled = [(MARGIN, MARGIN + -side % CORE) for side in pixels.shape[:2]]
    padded = np.pad(pixels, (*filled, (0, 0)), 'edge')
    name = detector.card.network.name if detector.card.network else ''
    ask, side = _said(name, detector.width), CORE + 2 * MARGIN
    core = slice(MARGIN // STRIDE, (MARGIN + CORE) // STRIDE)
    said = [
        [
            np.asarray(ask(detector.variables, jnp.asarray(padded[None, top : top + side, left : left + side])))
            for left in range(0, pixels.shape[1], CORE)
        ]
        for top in range(0, pixels.shape[0], CORE)
    ]
    return np.concatenate([np.concatenate([one[0, core, core] for one in row], 1) for row in said])[:rows, :columns]


@lru_cache(maxsize=4)
def _said(name: str, width: int) -> Callable[[Variables, Array], Array]:
    frozen, head = trunk(name), Head(width)

    @jax.jit
    def said(
        variables: Variables, images: UInt8[Array, 'batch height width 3']
    ) -> Float[Array, 'batch rows columns 5']:
        out = cast(Array, head.apply({'params': variables[LEARNED]}, frozen.features(variables[FROZEN], images)))
        return jnp.concatenate([jax.nn.sigmoid(out[..., :1]), out[..., 1:]], -1)

    ask: Callable[[Variables, Array], Array] = said
    return ask
