"""Fields with a box around each white cell, in the color of its class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from alljax.runs.calibration import UNCERTAIN
from alljax.smear.found_cells import FoundCell

# Okabe and Ito's colors, which all kinds of color vision tell apart, without black; from the ninth class they repeat.
COLORS = ('#d55e00', '#0072b2', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#f0e442', '#7a4fa3')
UNKNOWN = '#000000'  # a cell without an answer, or unlike the training cells
LONGEST = 4096  # pixels of a side of an annotated picture: a larger field is shrunk

RgbImage = UInt8[np.ndarray, 'height width 3']


def color_of(cell: FoundCell) -> str:
    """The color of a cell's class; black for a cell of none."""
    if cell.row.probabilities is None or cell.row.is_unlike:
        return UNKNOWN
    return COLORS[int(cell.row.probabilities.argmax()) % len(COLORS)]


def words_of(cell: FoundCell, classes: Sequence[str]) -> str:
    """The label of a box: the class, with a question mark if that is uncertain."""
    if cell.row.probabilities is None:
        return 'not read'
    if cell.row.is_unlike:
        return 'unlike'
    return cell.class_name(classes) + ('?' if cell.row.answer == UNCERTAIN else '')


def drawn(pixels: RgbImage, cells: Sequence[FoundCell], classes: Sequence[str], step: float = 1.0) -> RgbImage:
    """The picture with boxes and their labels; it has a pixel for `step` pixels of the field."""
    picture = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(picture)
    height, width = pixels.shape[:2]
    font = ImageFont.load_default(max(10, min(width, height) / 60))
    line = max(2, min(width, height) // 400)
    for cell in cells:
        left, top, wide, high = (value / step for value in cell.box)
        color = color_of(cell)
        canvas.rectangle((left, top, left + wide, top + high), outline=color, width=line)
        words = words_of(cell, classes)
        _, _, right, bottom = canvas.textbbox((0, 0), words, font=font)
        x = min(max(left, 0), max(0, width - right - 4))
        y = top - bottom - 4 if top >= bottom + 4 else min(top + high, height - bottom - 4)
        canvas.rectangle((x, y, x + right + 4, y + bottom + 4), fill=color)
        canvas.text((x + 2, y + 1), words, fill=_on(color), font=font)
    return np.asarray(picture)


def _on(color: str) -> str:
    """Black or white, whichever is read more easily on a color."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return '#000000' if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else '#ffffff'
