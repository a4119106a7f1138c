"""Crops of single cells out of whole fields, as ALL-IDB2 has them, in a folder that every command reads."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from alljax.data import all_idb, crops_record, image
from alljax.data.crops_record import CropsRecord, field_group
from alljax.data.datasets.layout import plain
from alljax.data.synthetic.folder import MARKER, NOTE, is_synthetic
from alljax.errors import UserError
from alljax.fields.annotations import Annotations
from alljax.fields.annotations.label_choice import NO_WHITE_CELLS
from alljax.fields.boxes import Marks
from alljax.fields.field_image import FieldImage, open_field
from alljax.fields.scale import WHITE_TO_RED
from alljax.storage import progress_bar
from alljax.storage.atomic import new_folder, write_json
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import csv_text, write_text

SIZE = 257  # pixels a side of ALL-IDB2's crops
CELL_PIXELS = WHITE_TO_RED * 72.0  # diameter of a white cell in ALL-IDB2, whose red cells have some 72 pixels
SMALLEST, LARGEST = 16, 4096  # pixels a side that may be asked for


class CropOptions(NamedTuple):
    """The size, the scale and the names of crops."""

    size: int = SIZE  # pixels a side
    cell_pixels: float = 0.0  # diameter of a white cell in the fields, which is brought to CELL_PIXELS; 0 to scale none
    groups: Mapping[str, str] | None = None  # field → patient or slide; None for groups by field
    unlabeled: str = 'cell'  # the class of a cell whose annotation has none
    names: Mapping[str, str] = {}  # label of the annotations → class, for those that change

    @property
    def scale(self) -> float:
        """Pixels of a field for a pixel of a crop."""
        return self.cell_pixels / CELL_PIXELS if self.cell_pixels else 1.0


class Crops(NamedTuple):
    """The crops that were written."""

    counts: Mapping[str, int]  # crops of each class
    fields: int  # of which there are crops
    problems: tuple[str, ...]  # sentences about fields that could not be read


class _Crop(NamedTuple):
    file: str
    label: str
    group: str
    center: Float[np.ndarray, '2']


def cut(
    field: FieldImage, center: Float[np.ndarray, '2'], size: int, scale: float = 1.0
) -> UInt8[np.ndarray, '{size} {size} 3']:
    """The square of `size` pixels around a center (x, y), completed by its mirror image beyond the border.

    With a `scale` the square has so many pixels of the field for each of its own.
    """
    side = max(1, round(size * scale))
    columns, rows = (
        _mirrored(math.floor(middle - side / 2 + 0.5), side, length)
        for middle, length in zip(center.tolist(), (field.width, field.height), strict=True)
    )
    left, top = int(columns.min()), int(rows.min())
    part = field.window(left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top)
    square = part[rows[:, None] - top, columns[None] - left]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def write(out: Path, found: Annotations, options: CropOptions) -> Crops:
    """Writes a crop of every marked cell to `out`, whole or not at all: a folder a class, cells.csv and crops.json.

    A field that cannot be read is told and left out. UserError if `out` is in use, and without any cell.
    """
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f'{out} exists and is not an empty folder; name a new folder, or remove it first')
    if not SMALLEST <= options.size <= LARGEST:
        raise UserError(f'--size {options.size}: expected {SMALLEST} to {LARGEST} pixels')
    if not any(len(marks.centers) for marks in found.marks):
        raise UserError(*(found.problems or [f'{found.root}: no cell is marked that could be cut out']))
    expect_writable(out, 'OUT')
    problems: list[str] = []
    written: list[_Crop] = []
    fields: list[str] = []
    with new_folder(out) as part:
        planned = _planned(found.marks, options)
        for field, crops in progress_bar.each(planned, 'cutting out cells', len(found.marks), ' fields'):
            try:
                _cut_out(part, found.root / field, crops, options)
            except image.ImageError as error:
                problems.append(f'{found.root / field}: {error}')
                continue
            written += crops
            fields += [field] if crops else []
        if not written:
            raise UserError(*problems)
        _describe(part, found, options, fields, written)
    return Crops(Counter(crop.label for crop in written), len(fields), tuple(problems))


def is_all_idb1(found: Annotations) -> bool:
    """True for fields most of which are named as ALL-IDB1's, and are not drawn."""
    named = sum(bool(all_idb.FILE.fullmatch(field.rpartition('/')[2])) for field in found.fields)
    return 2 * named > len(found.fields) and not is_synthetic(found.root)


def median_cell(found: Annotations) -> float:
    """The median side of a square of the area of a white cell's box, in pixels of the fields.

    UserError where no white cell has a box.
    """
    areas = [
        width * height
        for marks in found.marks
        if marks.boxes is not None
        for label, (_, _, width, height) in zip(marks.labels, marks.boxes.tolist(), strict=True)
        if plain(label) not in NO_WHITE_CELLS
    ]
    if not areas:
        raise UserError(
            f'{found.root}: has no boxes of white cells, whose size could be taken; give --cell_pixels a number'
        )
    return float(np.sqrt(np.median(areas)))


def _cut_out(part: Path, field: Path, crops: list[_Crop], options: CropOptions) -> None:
    """Writes the crops of one field; ImageError for a field that cannot be read."""
    if not crops:
        return
    opened = open_field(field)
    for crop in crops:
        (part / crop.file).parent.mkdir(exist_ok=True)
        square = cut(opened, crop.center, options.size, options.scale)
        (part / crop.file).write_bytes(image.to_png(square))


def _describe(part: Path, found: Annotations, options: CropOptions, fields: list[str], written: list[_Crop]) -> None:
    """Writes the tables that say what the crops are and where they come from."""
    rows = [(crop.file, crop.label, crop.group) for crop in written]
    write_text(part / 'cells.csv', csv_text(('file', 'label', 'group'), rows))
    by_field = options.groups is None
    record = CropsRecord(
        str(found.root), tuple(fields), found.format, is_all_idb1(found), by_field, options.size, options.scale
    )
    crops_record.write(part, record)
    if is_synthetic(found.root):
        write_json(part / MARKER, {'synthetic': True, 'note': NOTE})


def _planned(every: tuple[Marks, ...], options: CropOptions) -> Iterator[tuple[str, list[_Crop]]]:
    """The crops of each field, each with a file name of its own that says the field and the pixel of the center."""
    names = Counter(_name(marks.field) for marks in every)
    taken: set[str] = set()
    for marks in every:
        crops = []
        short = _name(marks.field)
        start = short if names[short] == 1 else re.sub(r'[^\w.+-]', '_', field_group(marks.field))
        group = field_group(marks.field) if options.groups is None else options.groups[marks.field]
        for center, label in zip(marks.centers, marks.labels, strict=True):
            label = options.names.get(label, label) or options.unlabeled
            stem = f'{_folder(label)}/{start}_x{int(center[0])}_y{int(center[1])}'
            file = next(name for name in _numbered(stem) if name not in taken)
            taken.add(file)
            crops.append(_Crop(file, label, group, center))
        yield marks.field, crops


def _numbered(stem: str) -> Iterator[str]:
    yield f'{stem}.png'
    number = 2
    while True:
        yield f'{stem}_{number}.png'
        number += 1


def _name(field: str) -> str:
    return field_group(field.rpartition('/')[2])


def _folder(label: str) -> str:
    """A label as the name of a folder on any system."""
    return re.sub(r'[^\w .+-]', '_', label).strip('. ') or 'unnamed'


def _mirrored(start: int, count: int, length: int) -> Int[np.ndarray, ' count']:
    """The rows of a picture of `length` rows that stand at `start` and after, those beyond the border mirrored."""
    index = np.arange(start, start + count) % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)
