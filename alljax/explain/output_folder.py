"""The folder of an explanation: a picture for each image and method, and scores.csv."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from alljax.data import image
from alljax.data.image_files import Unread
from alljax.evaluation import heat_maps
from alljax.explain.measurements import Explanation, RegionScores
from alljax.explain.methods import METHODS
from alljax.storage.atomic import write_whole
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import csv_text, write_text

COLUMNS = ('file', 'prediction', 'target', 'probability', 'method', 'deletion_auc', 'insertion_auc', 'mass_on_cell',
           'area_of_cell', 'points_at_cell', 'mass_on_nucleus', 'area_of_nucleus', 'points_at_nucleus', 'note', 'error',
           )  # fmt: skip
NO_SCORES = RegionScores(*[math.nan] * 3)


def make(folder: Path) -> None:
    """Make the folder; UserError if that cannot be."""
    expect_writable(folder, '--to')
    folder.mkdir(parents=True, exist_ok=True)


def write_overlays(folder: Path, number: int, cell: Explanation) -> None:
    """Write an overlay for each method, named by the number of the image, its file and the method."""
    stem = re.sub(r'[^\w.-]', '_', Path(cell.file).stem, flags=re.ASCII)[:60]
    for name, scored in cell.maps.items():
        drawn = heat_maps.overlay(cell.rgb, scored.map, METHODS[name].signed)
        write_whole(folder / f'{number:03}-{stem}-{name}.png', image.to_png(drawn))


def write_scores(
    folder: Path, cells: Sequence[Explanation], unread: Sequence[Unread], classes: tuple[str, ...]
) -> None:
    """Write scores.csv, a line for each image and method, then a line for each file that could not be read."""
    rows: list[list[object]] = []
    for cell in cells:
        first = [cell.file, classes[cell.probabilities.argmax()], classes[cell.target],
                 f'{cell.probabilities[cell.target]:.6f}']  # fmt: skip
        for name, scored in cell.maps.items():
            regions = [scored.regions.get(region, NO_SCORES) for region in ('cell', 'nucleus')]
            numbers = [scored.deletion_auc, scored.insertion_auc, *(value for scores in regions for value in scores)]
            rows.append([*first, name, *map(_number, numbers), cell.note, ''])
    rows += [[file.path, *[''] * (len(COLUMNS) - 2), file.error] for file in unread]
    write_text(folder / 'scores.csv', csv_text(COLUMNS, rows))


def _number(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.4f}'
