"""A folder of drawn fields laid out like ALL-IDB1, with the boxes and masks of all white cells the real set lacks."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from alljax.data.synthetic.fields import SIZE, SMALLEST, FieldDrawing, draw_field
from alljax.data.synthetic.folder import MARKER, NOTE
from alljax.data.synthetic.slides import slide
from alljax.errors import UserError
from alljax.storage import progress_bar
from alljax.storage.atomic import new_folder, write_json
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import csv_text, write_text

FOLDER = 'ALL_IDB1'
GENERATOR = 1  # raise it whenever the same seed would draw other pixels
LARGEST = 8192  # pixels a side: the amounts of stain take 16 bytes a pixel
SHARE = 4  # fields a slide
LEUKEMIC = 0.45  # of the fields, as in ALL-IDB1
QUALITY = 92  # of the JPEG files
BLASTS = ('L1', 'L2', 'L3')


class PlannedField(NamedTuple):
    """A field to draw."""

    name: str  # of its files, without the suffix
    blasts: str  # the kind of most of its blasts; '' for a field without
    slide: int  # number, from 1


def plan_fields(fields: int, seed: int) -> list[PlannedField]:
    """List what stands in each field of a set: those with blasts first; slides hold either.

    UserError for no field or a negative seed.
    """
    if fields < 1:
        raise UserError(f'{fields} fields are too few; ask for 1 or more (--fields)')
    if seed < 0:
        raise UserError(f'seed {seed} is negative; choose 0 or more (--seed)')
    leukemic = max(1, round(LEUKEMIC * fields))
    digits = max(3, len(str(fields)))
    planned = []
    for index in range(fields):
        blast = index < leukemic
        number = index // SHARE if blast else -(-leukemic // SHARE) + (index - leukemic) // SHARE
        kind = BLASTS[number % 3] if blast else ''
        planned.append(PlannedField(f'Im{index + 1:0{digits}d}_{int(blast)}', kind, 1 + number))
    return planned


def write_fields(out: Path, fields: int, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
    """Write a drawn ALL-IDB1 to `out`, whole or not at all; UserError if `out` is in use or the numbers do not fit.

    As in ALL-IDB1, xyc/ has the centers of blasts only. boxes.csv has the boxes of all white cells, masks/ a 16-bit PNG
    for each field with the number of the cell at each pixel, in the order of that field's lines in boxes.csv, and
    groups.csv the slide of each field. `size` is the width and height of a field.
    """
    planned = plan_fields(fields, seed)
    if not all(SMALLEST <= side <= LARGEST for side in size):
        raise UserError(f'--field_size {size[0]}x{size[1]}: expected {SMALLEST} to {LARGEST} pixels a side')
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f'{out} exists and is not an empty folder; name a new folder, or remove it first')
    expect_writable(out, 'OUT')
    with new_folder(out) as part:
        _fill(part / FOLDER, planned, seed, size)


def _fill(root: Path, planned: list[PlannedField], seed: int, size: tuple[int, int]) -> None:
    for folder in ('im', 'xyc', 'masks'):
        (root / folder).mkdir(parents=True)
    boxes: list[tuple[object, ...]] = []
    for index, field in enumerate(progress_bar.each(planned, 'drawing', len(planned), ' fields')):
        rng = np.random.default_rng([seed, 7, index])
        drawn = draw_field(slide(seed, field.slide), field.blasts, rng, size)
        Image.fromarray(drawn.image).save(root / 'im' / f'{field.name}.jpg', quality=QUALITY)
        Image.fromarray(drawn.cells).save(root / 'masks' / f'{field.name}.png')
        write_text(root / 'xyc' / f'{field.name}.xyc', _blast_centers(drawn))
        lines = zip(drawn.boxes.astype(int).tolist(), drawn.kinds, strict=True)
        boxes += [(f'im/{field.name}.jpg', *box, kind) for box, kind in lines]
    write_text(root / 'boxes.csv', csv_text(('field', 'left', 'top', 'width', 'height', 'label'), boxes))
    slides = [(f'im/{field.name}.jpg', f'slide{field.slide:02d}') for field in planned]
    write_text(root / 'groups.csv', csv_text(('field', 'group'), slides))
    sizes = {'width': size[0], 'height': size[1]}
    about = {'synthetic': True, 'fields': len(planned), **sizes, 'seed': seed, 'generator': GENERATOR, 'note': NOTE}
    write_json(root / MARKER, about)


def _blast_centers(drawn: FieldDrawing) -> str:
    cells = zip(drawn.centers.astype(int).tolist(), drawn.kinds, strict=True)
    return ''.join(f'{x} {y}\n' for (x, y), kind in cells if kind in BLASTS)
