"""The share of pictures that `alljax predict` calls unlike a model's training cells, of kinds that are and are not.

    python tests/benchmarks/training_likeness.py CELLS [FIELDS] [--other DIR ...] [--draws 100]

CELLS is a folder of class folders whose cells.csv names slides. Half of the slides, drawn by lot, are the training
cells, the others are held out; a share is the mean over the draws, the last two columns are the median and the highest
draw of 'either'. Zoomed are the middles of the held-out cells, enlarged to the full size. FIELDS holds pictures at the
scale of the cells, each with a .txt of boxes (class, then x and y of the middle, width and height as shares of the
picture): red cells only are squares that no box touches, wider fields are squares of 2 and 3 times the side around a
box, shrunk to the size of a cell. --other names folders of class folders of other laboratories. Sizes of files are
passed over: only what the pictures show is judged.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from alljax.data import training_likeness
from alljax.data.cells import Cells
from alljax.data.datasets import DataOptions, load
from alljax.data.image import SUFFIXES
from alljax.storage.training_pictures import Look, TrainingPictures

SIDE, STEP = 257, 200  # pixels: of a cell, and from one square of red cells to the next
ZOOMS = (1.5, 2, 3)


class Shares(NamedTuple):
    """The shares of pictures that are called unlike the training cells."""

    ranges: float  # by detail and contrast alone, as in cards of earlier releases
    distance: float  # by the distance alone
    either: float


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument('cells', type=Path)
    parser.add_argument('fields', type=Path, nargs='?')
    parser.add_argument('--other', type=Path, nargs='*', default=[])
    parser.add_argument('--draws', type=int, default=100)
    options = parser.parse_args()
    cells = read(options.cells)
    of_each = {'held-out groups': looks(cells.images)}
    of_each |= {f'zoomed {times:g}×': looks(zoomed(cells.images, times)) for times in ZOOMS}
    of_fields = from_fields(options.fields) if options.fields else {}
    fixed = {name: looks(pictures) for name, pictures in of_fields.items()}
    fixed |= {f'another laboratory ({folder.name})': looks(read(folder).images) for folder in options.other}
    shares: dict[str, list[Shares]] = {}
    for seed in range(options.draws):
        training, held_out = halves(cells, seed)
        known = training_likeness.of_cells(cells, training)
        assert known, 'the sizes of the cells are not known'
        for name, seen in ({name: [s[place] for place in held_out] for name, s in of_each.items()} | fixed).items():
            shares.setdefault(name, []).append(judged(seen, known))
    groups = f'{len(cells.group_names)} groups ({cells.origin.grouping})'
    print(f'{len(cells)} cells in {groups}, {options.draws} draws of half of the groups\n')
    print('| pictures | number | ranges alone | distance alone | either | median draw | highest draw |')
    print('|---|---|---|---|---|---|---|')
    for name, found in shares.items():
        number = len(fixed[name]) if name in fixed else 'half of the groups'
        means = [f'{share:.1%}' for share in np.mean(found, axis=0)]
        either = [draw.either for draw in found]
        print(f'| {name} | {number} | {" | ".join(means)} | {np.median(either):.1%} | {max(either):.1%} |')
    start = time.perf_counter()
    for pixels in cells.images[:100]:
        training_likeness.reasons(pixels, (SIDE, SIDE), known)
    print(f'\n{(time.perf_counter() - start) * 1000 / len(cells.images[:100]):.1f} ms a picture')


def read(folder: Path) -> Cells:
    """The cells of a folder of class folders, at one size."""
    return load(DataOptions('folder', str(folder), 'classes', SIDE), seed=0)


def looks(pictures: Iterable[np.ndarray]) -> list[Look]:
    """The measurements of each picture."""
    return [training_likeness.look(pixels) for pixels in pictures]


def zoomed(pictures: np.ndarray, times: float) -> Iterator[np.ndarray]:
    """The middle of each picture, at the size of the whole."""
    part = int(SIDE / times)
    start = (SIDE - part) // 2
    for pixels in pictures:
        yield resized(Image.fromarray(pixels[start : start + part, start : start + part]))


def resized(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert('RGB').resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def halves(cells: Cells, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The cells of half of the slides, and those of the others."""
    slides = np.random.default_rng(seed).permutation(np.unique(cells.groups))
    first = np.isin(cells.groups, slides[: len(slides) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def from_fields(folder: Path) -> dict[str, list[np.ndarray]]:
    """Squares without a white cell, and wider ones around each."""
    red: list[np.ndarray] = []
    wider: dict[int, list[np.ndarray]] = {2: [], 3: []}
    for file in sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES):
        field = Image.open(file)
        shares = np.loadtxt(file.with_suffix('.txt'), ndmin=2)[:, 1:5]
        x, y, width, height = (shares * np.tile(field.size, 2)).T
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        for over in range(0, field.height - SIDE + 1, STEP):
            for across in range(0, field.width - SIDE + 1, STEP):
                apart = (left > across + SIDE) | (right < across) | (top > over + SIDE) | (bottom < over)
                if apart.all():
                    red.append(np.asarray(square(field, across, over, SIDE)))
        for times, found in wider.items():
            side = times * SIDE
            for middle in zip(x, y, strict=True):
                start = (
                    int(np.clip(at - side / 2, 0, most - side)) for at, most in zip(middle, field.size, strict=True)
                )
                found.append(resized(square(field, *start, side)))
    return {'red cells only': red} | {f'field {times}× wider': found for times, found in wider.items()}


def square(field: Image.Image, left: int, top: int, side: int) -> Image.Image:
    return field.convert('RGB').crop((left, top, left + side, top + side))


def judged(seen: list[Look], known: TrainingPictures) -> Shares:
    """The shares of measured pictures that are called unlike the training cells."""
    every = (-np.inf, np.inf)
    without, alone = known._replace(measurements=()), known._replace(detail=every, contrast=every)
    return Shares(
        *(np.mean([bool(training_likeness.differences(s, k)) for s in seen]) for k in (without, alone, known))
    )


if __name__ == '__main__':
    main()
