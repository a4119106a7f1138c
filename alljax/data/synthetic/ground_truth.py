"""The truth about a file of a drawn folder: where the nucleus and the cytoplasm of its cell lie."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alljax.data import image
from alljax.data.image import RgbImage
from alljax.data.synthetic import folder
from alljax.data.synthetic.cell import draw
from alljax.data.synthetic.folder import MARKER, Planned
from alljax.data.synthetic.repeats import plant
from alljax.data.synthetic.slides import slide

IN_PLACE = ('same file', 'same pixels', 're-encoded', 're-lit')  # repeats that move nothing
ABOVE = 3  # folders above a file in which the marker is looked for; the sets have it two above


class _Set(NamedTuple):
    cells: dict[str, tuple[Planned, int]]  # by file: what it shows, and the number it was drawn with
    repeats: dict[str, tuple[str, int, bool]]  # by file: kind, index of the copy, and whether it is that copy
    seed: int


def parts(path: Path) -> tuple[RgbImage | None, str]:
    """The nucleus as red and the cytoplasm as green, 0 or 255, at the size of the file; None for any other file.

    The cell is drawn again from the folder's seed, and is trusted only if its pixels are the file's. With a sentence of
    why not, if a file of a drawn folder has none.
    """
    root = next((above for above in path.absolute().parents[:ABOVE] if (above / MARKER).is_file()), None)
    if root is None:
        return None, ''
    try:
        drawn = _set(root)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f'{MARKER} cannot be used ({error}), so where the cell lies is not known'
    if path.name not in drawn.cells:
        return None, f'{MARKER} does not know this file, so where the cell lies is not known'
    picture, found = _redrawn(drawn, path.name)
    if not np.array_equal(picture, image.read(path).pixels):
        return None, 'is not what its folder’s seed draws, so where the cell lies is not known'
    return found, ''


def _redrawn(drawn: _Set, name: str) -> tuple[RgbImage, RgbImage]:
    """The picture of a file, and its masks as the red (nucleus) and green (cytoplasm) of another, 0 or 255.

    As a picture the masks go through the very functions that cut and move the cell.
    """
    cell, number = drawn.cells[name]
    whole = draw(cell.kind, slide(drawn.seed, cell.slide), np.random.default_rng([drawn.seed, 2, number]))
    nothing = np.zeros_like(whole.nucleus)
    parts = 255 * np.stack([whole.nucleus, whole.cytoplasm, nothing], -1).astype(np.uint8)
    picture, parts = (
        folder._cropped(layer, np.random.default_rng([drawn.seed, 3, number])) for layer in (whole.image, parts)
    )
    if name not in drawn.repeats:
        return picture, parts
    kind, copy, second = drawn.repeats[name]
    picture = plant(picture, kind, np.random.default_rng([drawn.seed, 6, copy]))[second]
    if kind not in IN_PLACE:
        parts = plant(parts, kind, np.random.default_rng([drawn.seed, 6, copy]))[second]
        middle = (int(parts.min()) + int(parts.max())) / 2  # 'everything' changes the light of the masks too
        parts = 255 * (parts > middle).astype(np.uint8)
    return picture, parts


@lru_cache(maxsize=8)
def _set(root: Path) -> _Set:
    """The content of each file of a drawn folder; ValueError, KeyError or TypeError for a marker that does not tell."""
    marker: dict[str, Any] = json.loads((root / MARKER).read_text(encoding='utf-8'))
    if marker['generator'] != folder.GENERATOR:
        raise ValueError(f'it was drawn by generator {marker["generator"]}, this one is {folder.GENERATOR}')
    planned = folder.plan(marker['cells'], marker['seed'])
    index = {cell.file: number for number, cell in enumerate(planned)}
    cells = {cell.file: (cell, number + 1) for number, cell in enumerate(planned)}
    repeats: dict[str, tuple[str, int, bool]] = {}
    for source, copy, kind in marker.get('repeats', []):
        cells[copy] = cells[source]
        repeats |= {source: (kind, index[copy], False), copy: (kind, index[copy], True)}
    return _Set(cells, repeats, marker['seed'])
