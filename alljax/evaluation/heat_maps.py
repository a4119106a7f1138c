"""Heat maps over cells: which cells of a test get one, and how a map is drawn over the gray picture."""

import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image

from alljax.evaluation.thumbnails import shrunk, thumbnail

RgbImage = UInt8[np.ndarray, 'height width 3']

MISTAKES = 800  # of a run that get a heat map, at most
RIGHT = 10  # right cells of each class, and of each run, that get one, at most
COVER = 0.65  # how much of the cell the heat map hides
PERCENTILE = 99.5  # of the absolute values: what lies above is shown alike, or a single pixel would dim all others
SIGNED, UNSIGNED = 'RdBu_r', 'viridis'  # both told apart by every common kind of color vision


def chosen(
    labels: Integer[np.ndarray, ' cells'], probabilities: Float[np.ndarray, 'cells classes']
) -> Integer[np.ndarray, ' chosen']:
    """The places of the cells of a test that get a heat map.

    All mistakes, up to 800 with the most confident first; then up to 10 right cells of each class, from the least
    confident to the most.
    """
    predictions, confidence = probabilities.argmax(1), probabilities.max(1)
    order = np.argsort(-confidence, kind='stable')
    right = predictions[order] == labels[order]
    parts = [order[~right][:MISTAKES]]
    for label in range(probabilities.shape[1]):
        own = order[right & (labels[order] == label)]
        parts.append(own[np.linspace(0, len(own) - 1, min(RIGHT, len(own))).round().astype(int)])
    return np.concatenate(parts)


def small(image: RgbImage, found: Float[np.ndarray, 'rows columns']) -> bytes:
    """The bytes of a JPEG file of a layer's map over the small gray picture of its cell."""
    cell = shrunk(image)
    height, width, _ = cell.shape
    fitted = Image.fromarray(found.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return thumbnail(overlay(cell, np.asarray(fitted), signed=False))


def overlay(cell: RgbImage, found: Float[np.ndarray, 'height width'], signed: bool) -> RgbImage:
    """A map over the gray cell; red speaks for the class and blue against, or yellow is most and violet none."""
    gray = np.repeat(cell.astype(np.float64).mean(2, keepdims=True), 3, axis=2)
    heat = 255 * _colored(_scaled(found), signed)
    return np.rint((1 - COVER) * gray + COVER * heat).astype(np.uint8)


def scale(signed: bool) -> RgbImage:
    """The colors from the least to the most, as a strip, over a gray of middle brightness."""
    values = np.linspace(-1 if signed else 0, 1, 240)[None].repeat(12, axis=0)
    return overlay(np.full((12, 240, 3), 170, np.uint8), values, signed)


def _scaled(found: Float[np.ndarray, 'height width']) -> Float[np.ndarray, 'height width']:
    """-1 to 1, or 0 to 1 for a map without signs."""
    # of a map that is zero almost everywhere the percentile is zero too
    top = np.percentile(np.abs(found), PERCENTILE) or np.abs(found).max() or 1.0
    return np.clip(found / top, -1, 1)


def _colored(values: Float[np.ndarray, 'height width'], signed: bool) -> Float[np.ndarray, 'height width 3']:
    from matplotlib import colormaps  # brings seconds of imports, for maps only

    if signed:
        return colormaps[SIGNED]((values + 1) / 2)[..., :3]
    return colormaps[UNSIGNED](values)[..., :3]
