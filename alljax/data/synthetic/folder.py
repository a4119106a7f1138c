"""A folder of drawn cells laid out like ALL-IDB2, with the subtypes and groups the real set does not come with."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alljax.data.synthetic.appearance import CLASSES
from alljax.data.synthetic.cell import draw
from alljax.data.synthetic.repeats import KINDS, plant
from alljax.data.synthetic.slides import Slide, slide
from alljax.errors import UserError
from alljax.storage.atomic import new_folder
from alljax.storage.checksums import Damaged
from alljax.storage.disk_errors import expect_writable
from alljax.storage.json_records import read_object
from alljax.storage.text_files import csv_text, write_text

MARKER = 'synthetic.json'  # tells a drawn folder from a real one
GENERATOR = 1  # raise it whenever the same seed would draw other pixels
FEWEST = 40  # cells: two slides, each with at least three of every class
SHARE = 9  # blasts a slide, and as many normal cells; a multiple of three, so that subtypes come out even
CROPPED = 0.04  # of the crops were cut at the border of the field
NOTE = 'Drawn by alljax.data.synthetic, not photographed: results on these cells say nothing about patients.'


class Planned(NamedTuple):
    """A cell to draw."""

    file: str
    kind: str  # one of CLASSES
    slide: int  # number, from 1


def plan(cells: int, seed: int) -> list[Planned]:
    """List what stands in each file of a set: blasts first, then normal cells, every class on every slide.

    Blasts keep their kind and slide when the set grows, but for those on the last slide. UserError for too few cells
    or a negative seed.
    """
    if cells < FEWEST:
        raise UserError(f'{cells} cells are too few for every class on every slide: ask for {FEWEST} or more (--cells)')
    if seed < 0:
        raise UserError(f'seed {seed} is negative: choose 0 or more (--seed)')
    blasts = cells // 2
    slides = max(2, blasts // SHARE)
    digits = max(3, len(str(cells)))
    planned = []
    for index in range(cells):
        blast = index < blasts
        place = index if blast else index - blasts
        kind = _subtype(seed, place) if blast else 'normal'
        name = f'Im{index + 1:0{digits}d}_{int(blast)}.tif'
        planned.append(Planned(name, kind, 1 + min(place // SHARE, slides - 1)))
    return planned


class Repeat(NamedTuple):
    """A cell whose picture is an altered copy of another's; indices into the plan."""

    source: int
    copy: int
    kind: str  # one of KINDS


def repeat(planned: list[Planned], repeats: int, seed: int) -> list[Repeat]:
    """Choose copies, the last blasts and the last normal cells in turn, and a source of the same kind for each.

    Kinds of repeats follow each other, and no picture is copied twice. UserError for more than a quarter of the cells.
    """
    if not 0 <= repeats <= len(planned) // 4:
        raise UserError(f'{repeats} repeats in {len(planned)} cells: choose 0 to {len(planned) // 4} (--repeats)')
    sides = [[index for index, cell in enumerate(planned) if (cell.kind == 'normal') == normal] for normal in (0, 1)]
    copies = [sides[number % 2][-1 - number // 2] for number in range(repeats)]
    free = [index for side in sides for index in side if index not in set(copies)]
    rng = np.random.default_rng([seed, 5])
    chosen = []
    for number, copy in enumerate(copies):
        blast = planned[copy].kind != 'normal'
        source = int(rng.choice([index for index in free if (planned[index].kind != 'normal') == blast]))
        free.remove(source)
        chosen.append(Repeat(source, copy, KINDS[number % len(KINDS)]))
    return chosen


def write(out: Path, cells: int = 260, seed: int = 0, repeats: int = 0) -> None:
    """Write a drawn ALL-IDB2 to `out`, whole or not at all; UserError if `out` is in use or the numbers do not fit.

    With `repeats`, so many cells are altered copies of others, listed in synthetic.json; groups.csv then is left to an
    audit to find.
    """
    planned = plan(cells, seed)
    chosen = repeat(planned, repeats, seed)
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f'{out} exists and is not an empty folder: name a new folder, or remove it first')
    expect_writable(out, 'OUT')
    with new_folder(out) as part:
        _fill(part / 'ALL_IDB2', planned, seed, chosen)


def is_synthetic(root: Path) -> bool:
    """True for a folder of drawn cells or fields, its ALL_IDB2/ or ALL_IDB1/, and what is right in these."""
    return any((path / MARKER).is_file() for path in (root, root.parent, root / 'ALL_IDB2', root / 'ALL_IDB1'))


def drawn_counts(marker: Path) -> tuple[int, int]:
    """The numbers of blasts and of cells that a folder's synthetic.json names; UserError if it is damaged."""
    try:
        values = read_object(marker)
        blasts, cells = values.get('blasts'), values.get('cells')
        if not (type(blasts) is int and type(cells) is int and 0 <= blasts <= cells):
            raise Damaged(f'has {blasts!r} for blasts and {cells!r} for cells')
    except Damaged as error:
        raise UserError(
            f'{marker}: {error}, so it is not known what was drawn here; draw the cells again into a new folder with '
            'alljax synthetic'
        ) from None
    return blasts, cells


def _fill(root: Path, planned: list[Planned], seed: int, chosen: list[Repeat]) -> None:
    (root / 'img').mkdir(parents=True)
    for source, copy, _ in chosen:
        planned[copy] = planned[copy]._replace(kind=planned[source].kind, slide=planned[source].slide)
    slides = {number: slide(seed, number) for number in {cell.slide for cell in planned}}
    copies = {pair.copy for pair in chosen}
    for index in (index for index in range(len(planned)) if index not in copies):
        Image.fromarray(_drawn(planned[index], index + 1, seed, slides)).save(root / 'img' / planned[index].file)
    for source, copy, kind in chosen:
        image = _drawn(planned[source], source + 1, seed, slides)
        first, second = plant(image, kind, np.random.default_rng([seed, 6, copy]))
        Image.fromarray(first).save(root / 'img' / planned[source].file)
        # The same pixels in other bytes.
        compression = 'tiff_lzw' if kind == 'same pixels' else None
        Image.fromarray(second).save(root / 'img' / planned[copy].file, compression=compression)
    blasts = [cell for cell in planned if cell.kind != 'normal']
    _table(root / 'subtypes.csv', ('file', 'subtype'), [(cell.file, cell.kind) for cell in blasts])
    marker = {
        'synthetic': True,
        'cells': len(planned),
        'blasts': len(blasts),
        'seed': seed,
        'generator': GENERATOR,
        'note': NOTE,
    }
    if chosen:
        marker['repeats'] = [[planned[pair.source].file, planned[pair.copy].file, pair.kind] for pair in chosen]
    else:
        _table(root / 'groups.csv', ('file', 'group'), [(cell.file, f'slide{cell.slide:02d}') for cell in planned])
    (root / MARKER).write_text(json.dumps(marker, indent=2) + '\n', encoding='utf-8')


def _drawn(cell: Planned, number: int, seed: int, slides: dict[int, Slide]) -> UInt8[np.ndarray, 'height width 3']:
    image = draw(cell.kind, slides[cell.slide], np.random.default_rng([seed, 2, number])).image
    return _cropped(image, np.random.default_rng([seed, 3, number]))


def _subtype(seed: int, place: int) -> str:
    """Deal subtypes in shuffled threes, so that any run of blasts holds near-equal numbers of each."""
    dealt = np.random.default_rng([seed, 4, place // 3]).permutation(3)
    return CLASSES[int(dealt[place % 3])]


def _cropped(image: UInt8[np.ndarray, 'size size 3'], rng: np.random.Generator) -> UInt8[np.ndarray, 'height width 3']:
    """Cut the crop as the border of the field would: now and then it lacks a strip on one side."""
    if rng.random() >= CROPPED:
        return image
    strip, side = int(rng.integers(8, 40)), int(rng.integers(4))
    return (image[strip:], image[:-strip], image[:, strip:], image[:, :-strip])[side]


def _table(path: Path, header: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    write_text(path, csv_text(header, rows))
