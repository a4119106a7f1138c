"""The sheet of the cells that a classical system segments worst, with their outlines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alljax.baselines.segmentation_scores import SegmentationScores
from alljax.evaluation import segmentation_outlines

SHOWN = 18  # cells on the sheet


def draw_worst(found: SegmentationScores, path: Path, title: str = '') -> None:
    """Writes the sheet of the worst cells."""
    segmentation_outlines.write_sheet([_outlined(found, place) for place in found.worst(SHOWN)], path, title=title)


def _outlined(found: SegmentationScores, place: int) -> segmentation_outlines.OutlinedCell:
    parts, known = found.found[place], found.truth[place]
    words = [found.cells.names[place].rpartition('/')[2]]
    if not parts.found:
        words.append('nothing found')
    elif known is not None:
        words.append('Dice: nucleus {:.2f}, cell {:.2f}'.format(*found.scores[place, :2]))
    masks: Sequence[Any] = (known.nucleus, known.cell) if known else ()
    image, caption = found.cells.images[place], '\n'.join(words)
    return segmentation_outlines.OutlinedCell(image, (parts.nucleus, parts.cell), masks, caption)
