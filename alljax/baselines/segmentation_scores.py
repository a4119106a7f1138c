"""Scores of a segmentation: against the truth where the cells were drawn or the user has masks, else by count."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import skimage
from jaxtyping import Float

from alljax.baselines.extraction import Extractor, make_extractor, on_all_cores, segment
from alljax.baselines.mask_files import Truth
from alljax.baselines.segment import Parts
from alljax.baselines.segment.central_cell import Mask
from alljax.baselines.systems import System
from alljax.data import image
from alljax.data.cells import Cells
from alljax.data.image import RgbImage
from alljax.data.synthetic import ground_truth

MEASURES = ('nucleus_dice', 'cell_dice', 'nucleus_hausdorff', 'cell_hausdorff')


class NamedPictures(NamedTuple):
    """Pictures of any size, of which nothing but a name is known."""

    names: Sequence[str]
    images: Sequence[RgbImage]


class SegmentationScores(NamedTuple):
    """Some cells with what was found in them, the truth where it is known, and how alike the two are."""

    cells: Cells | NamedPictures
    found: list[Parts]
    truth: list[Truth | None]
    scores: Float[np.ndarray, 'cells measures']  # MEASURES; NaN without truth. Distances are in pixels

    def worst(self, count: int) -> list[int]:
        """The places of the cells in which nothing was found, then of those with the least Dice."""
        known = ~np.isnan(self.scores[:, :2])
        total = np.where(known, self.scores[:, :2], 0).sum(1)
        dice = np.where(known.any(1), total / np.maximum(known.sum(1), 1), 2.0)
        missing = np.array([not parts.found for parts in self.found])
        return np.lexsort((dice, ~missing))[:count].tolist()


def score(system: System, cells: Cells, *, truth: bool = True) -> SegmentationScores:
    """Segments the cells and, with `truth`, compares them with it; a copy, whose truth is not known, is left out."""
    files = [Path(cells.origin.root) / name for name in cells.names]
    originals = np.flatnonzero([file.is_file() for file in files])
    chosen = cells.take(originals)
    pairs = zip(chosen.images, (files[place] for place in originals), strict=True)
    every = on_all_cores(_score_one, list(pairs), make_extractor(system), truth)
    scores = np.array([one[2] for one in every]).reshape(len(every), len(MEASURES))
    return SegmentationScores(chosen, [one[0] for one in every], [one[1] for one in every], scores)


def summary(scores: SegmentationScores) -> dict[str, Any]:
    """The cells whose truth is known, and the means of MEASURES over them; empty if there are none."""
    said: dict[str, Any] = {}
    known = ~np.isnan(scores.scores)
    if known.any():
        said['cells_with_truth'] = int(known.any(1).sum())
        for name, values in zip(MEASURES, scores.scores.T, strict=True):
            if len(of := values[~np.isnan(values)]):
                said[name] = round(float(of.mean()), 4)
    return said


def against(found: list[Parts], truth: list[Truth | None], pictures: NamedPictures) -> SegmentationScores:
    """The scores of what was found in pictures, against the truth where it is known."""
    scores = np.array([_scores(*pair) for pair in zip(found, truth, strict=True)])
    return SegmentationScores(pictures, found, truth, scores)


def dice(found: Mask, known: Mask) -> float:
    """Twice the common area over the sum of both areas; 1 for two empty masks (Dice 1945)."""
    total = np.count_nonzero(found) + np.count_nonzero(known)
    return 2 * np.count_nonzero(found & known) / total if total else 1.0


def hausdorff(found: Mask, known: Mask) -> float:
    """The farthest that a pixel of one mask lies from the other, in pixels; the picture's diagonal if one is empty."""
    if found.any() != known.any():
        return float(np.hypot(*found.shape))
    return float(skimage.metrics.hausdorff_distance(found, known)) if found.any() else 0.0


def _score_one(
    item: tuple[RgbImage, Path], extractor: Extractor, truth: bool
) -> tuple[Parts, Truth | None, list[float]]:
    """The parts found in a picture, the truth about its file, and how alike they are."""
    picture, path = item
    found, known = segment(picture, extractor), _truth(path, len(picture)) if truth else None
    return found, known, _scores(found, known)


def _scores(found: Parts, known: Truth | None) -> list[float]:
    """MEASURES of what was found; NaN for those of a mask that is not known."""
    pairs = ((found.nucleus, known.nucleus), (found.cell, known.cell)) if known else ((found.cell, None),) * 2
    return [np.nan if true is None else measure(mask, true) for measure in (dice, hausdorff) for mask, true in pairs]


def _truth(path: Path, size: int) -> Truth | None:
    """The masks of a drawn file as its cell is kept: square, at `size` pixels a side."""
    drawn, _ = ground_truth.parts(path)
    if drawn is None:
        return None
    sized: RgbImage = image.to_square(drawn, size)
    nucleus = sized[..., 0] >= 128
    return Truth(nucleus, nucleus | (sized[..., 1] >= 128))
