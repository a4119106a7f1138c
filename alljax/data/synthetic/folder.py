"""A folder of drawn cells laid out like ALL-IDB2, with the subtypes and groups the real set does not come with."""

import csv
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alljax.data.synthetic.cell import draw
from alljax.data.synthetic.looks import CLASSES
from alljax.data.synthetic.slides import slide
from alljax.errors import UserError

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


def write(out: Path, cells: int = 260, seed: int = 0) -> None:
    """Write a drawn ALL-IDB2 to `out`, whole or not at all; UserError if `out` is in use or the numbers do not fit."""
    planned = plan(cells, seed)
    out = out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f'{out} exists and is not an empty folder: name a new folder, or remove it first')
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.parent))
    try:
        _fill(part / 'ALL_IDB2', planned, seed)
        part.chmod(0o777 & ~_umask())
        if out.exists():
            out.rmdir()
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(root: Path, planned: list[Planned], seed: int) -> None:
    (root / 'img').mkdir(parents=True)
    slides = {number: slide(seed, number) for number in {cell.slide for cell in planned}}
    for number, cell in enumerate(planned, start=1):
        image = draw(cell.kind, slides[cell.slide], np.random.default_rng([seed, 2, number])).image
        cropped = _cropped(image, np.random.default_rng([seed, 3, number]))
        Image.fromarray(cropped).save(root / 'img' / cell.file)
    blasts = [cell for cell in planned if cell.kind != 'normal']
    _table(root / 'subtypes.csv', ('file', 'subtype'), [(cell.file, cell.kind) for cell in blasts])
    _table(root / 'groups.csv', ('file', 'group'), [(cell.file, f'slide{cell.slide:02d}') for cell in planned])
    marker = {
        'synthetic': True,
        'cells': len(planned),
        'blasts': len(blasts),
        'seed': seed,
        'generator': GENERATOR,
        'note': NOTE,
    }
    (root / 'synthetic.json').write_text(json.dumps(marker, indent=2) + '\n', encoding='utf-8')


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
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerows([header, *rows])


def _umask() -> int:
    """Ask for the user's mask of permissions, because a temporary folder starts out closed to everyone else."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
