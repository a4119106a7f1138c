"""Scores of a segmentation: against the truth where the cells were drawn, by count where they were not."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from skimage import metrics

from alljax.baselines.extraction import Extractor, make_extractor, on_all_cores, segment
from alljax.baselines.segment import Parts
from alljax.baselines.segment.central_cell import Mask
from alljax.baselines.systems import System
from alljax.data import image
from alljax.data.cells import Cells
from alljax.data.image import RgbImage
from alljax.data.synthetic import ground_truth

MEASURES = ('nucleus_dice', 'cell_dice', 'nucleus_hausdorff', 'cell_hausdorff')


class SegmentationScores(NamedTuple):
    """Some cells with what was found in them, the truth where it is known, and how alike the two are."""

    cells: Cells
    found: list[Parts]
    truth: list[Parts | None]
    scores: Float[np.ndarray, 'cells measures']  # MEASURES; NaN without truth. Distances are in pixels

    def worst(self, count: int) -> list[int]:
        """The places of the cells in which nothing was found, then of those with the least Dice."""
        dice = np.nan_to_num(self.scores[:, :2].mean(1), nan=2.0)
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
    known = ~np.isnan(scores.scores[:, 0])
    if known.any():
        means = scores.scores[known].mean(0)
        said |= {'cells_with_truth': int(known.sum())}
        said |= {name: round(float(mean), 4) for name, mean in zip(MEASURES, means, strict=True)}
    return said


def dice(found: Mask, known: Mask) -> float:
    """Twice the common area over the sum of both areas; 1 for two empty masks (Dice 1945)."""
    total = np.count_nonzero(found) + np.count_nonzero(known)
    return 2 * np.count_nonzero(found & known) / total if total else 1.0


def hausdorff(found: Mask, known: Mask) -> float:
    """The farthest that a pixel of one mask lies from the other, in pixels; the picture's diagonal if one is empty."""
    if found.any() != known.any():
        return float(np.hypot(*found.shape))
    return float(metrics.hausdorff_distance(found, known)) if found.any() else 0.0


def _score_one(
    item: tuple[RgbImage, Path], extractor: Extractor, truth: bool
) -> tuple[Parts, Parts | None, list[float]]:
    """The parts found in a picture, the truth about its file, and how alike they are."""
    picture, path = item
    found, known = segment(picture, extractor), _truth(path, len(picture)) if truth else None
    return found, known, _scores(found, known)


def _scores(found: Parts, known: Parts | None) -> list[float]:
    if known is None:
        return [np.nan] * len(MEASURES)
    pairs = ((found.nucleus, known.nucleus), (found.cell, known.cell))
    return [dice(*pair) for pair in pairs] + [hausdorff(*pair) for pair in pairs]


def _truth(path: Path, size: int) -> Parts | None:
    """The masks of a drawn file as its cell is kept: square, at `size` pixels a side."""
    drawn, _ = ground_truth.parts(path)
    if drawn is None:
        return None
    sized: RgbImage = image.to_square(drawn, size)
    return Parts(sized[..., 0] >= 128, sized[..., 1] >= 128)
