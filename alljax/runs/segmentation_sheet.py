"""The segmentation of test cells by a classical system: its scores, and the sheet of the worst with their outlines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alljax.baselines import segmentation_scores
from alljax.baselines.extraction import Rows
from alljax.baselines.segmentation_scores import SegmentationScores
from alljax.baselines.systems import WHOLE, System
from alljax.data.cells import Cells
from alljax.evaluation import segmentation_outlines

SHOWN = 18  # cells on the sheet


def score(
    system: System, rows: Rows, test: Cells, workdir: Path, *, cropped: bool
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The `segmentation` part of results.json, and the sheet of the worst test cells, if the system looks for cells.

    The sheet shows first the cells in which nothing was found, then those least like the truth, which is not known of
    `cropped` cells.
    """
    said: dict[str, Any] = {'nothing_found_in_test': float(np.mean(~rows.found))}
    found = None
    if system.segment != WHOLE:
        found = segmentation_scores.score(system, test, truth=not cropped)
    if not found or not found.found:
        return said, {}
    draw_worst(found, workdir / 'segmentation.png')
    order = 'the worst first' if any(found.truth) else 'any in which nothing was found first'
    figures = {f'Segmentation of the test cells, {order}': workdir / 'segmentation.png'}
    return {**said, **segmentation_scores.summary(found)}, figures


def draw_worst(found: SegmentationScores, path: Path, title: str = '') -> None:
    """Writes the sheet of the worst cells."""
    segmentation_outlines.write_sheet([_outlined(found, place) for place in found.worst(SHOWN)], path, title=title)


def _outlined(found: SegmentationScores, place: int) -> segmentation_outlines.OutlinedCell:
    parts, known = found.found[place], found.truth[place]
    words = [found.cells.names[place].rpartition('/')[2]]
    if not parts.found:
        words.append('nothing found')
    elif known is not None:
        told = zip(('nucleus', 'cell'), found.scores[place, :2], strict=True)
        words.append('Dice: ' + ', '.join(f'{name} {dice:.2f}' for name, dice in told if not np.isnan(dice)))
    masks: Sequence[Any] = [mask for mask in known or () if mask is not None]
    image, caption = found.cells.images[place], '\n'.join(words)
    return segmentation_outlines.OutlinedCell(image, (parts.nucleus, parts.cell), masks, caption)
