"""What the audit finds of planted repeats, what it reports besides, and how long a large folder takes.

    python tests/benchmarks/audit.py [--cells 500] [--each 60] [--seed 1] [--wbc DIR] [--time 10000] [--threshold T]

Plants `each` pairs of every kind among drawn cells, and among the real ones of a class folder with --wbc. A pair is
found if the audit's table gives both the same repeat. Among real cells, pairs that were not planted may well be true:
they are counted by whether the folder's groups (slides) agree, to be looked at.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from alljax.data import image
from alljax.data.audit import THRESHOLD, audit
from alljax.data.datasets import folder as class_folders
from alljax.data.synthetic import CLASSES, KINDS, draw, plant, slide


def main() -> None:
    """Prints one table for each kind of cells."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cells', type=int, default=500)
    parser.add_argument('--each', type=int, default=60)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--wbc', type=Path)
    parser.add_argument('--time', type=int)
    parser.add_argument('--threshold', type=float, default=THRESHOLD)
    options = parser.parse_args()
    if options.time:
        timed(options.time, options.seed, options.threshold)
        return
    drawn = list(drawings(options.cells, options.seed))
    false = measured('drawn', drawn, options)
    print(f'drawn: {len(false)} pairs of different cells among {options.cells}, highest {np.round(false[-5:], 2)}')
    if options.wbc:
        records = class_folders.list_cells(options.wbc).records
        measured('real', [image.read(options.wbc / record.file).pixels for record in records], options)
        groups = {record.file: record.group for record in records}
        result = audit(options.wbc, options.threshold)
        files = result.listing.files
        across = [(files[p.first], files[p.second], round(p.score, 2)) for p in result.pairs
                  if groups[files[p.first]] != groups[files[p.second]]]  # fmt: skip
        print(f'real, nothing planted: {len(result.pairs)} pairs in {len(files)} cells, {len(across)} across slides:')
        print(*across, sep='\n')


def drawings(cells: int, seed: int) -> Iterator[np.ndarray]:
    """Drawn cells of all classes on many slides."""
    for index in range(cells):
        stained = slide(seed, 1 + index // 20)
        yield draw(CLASSES[3 * (index % 2) or index % 3], stained, np.random.default_rng([seed, 9, index])).image


def measured(name: str, cells: list[np.ndarray], options: argparse.Namespace) -> list[float]:
    """Prints the recall of each kind; returns the scores of pairs between different cells."""
    rng = np.random.default_rng(options.seed)
    pictures, shows = list(cells), list(range(len(cells)))
    planted = []
    for number, source in enumerate(np.resize(rng.permutation(len(cells)), options.each * len(KINDS)).tolist()):
        kind = KINDS[number % len(KINDS)]
        both = plant(cells[source], kind, rng)
        cut = len(both[0]) != len(cells[source])  # then the first is a new picture as well
        pictures += both[1 - cut :]
        shows += [source] * (1 + cut)
        planted.append((len(pictures) - 2 if cut else source, len(pictures) - 1, kind))
    repacked = {second for _, second, kind in planted if kind == 'same pixels'}
    with tempfile.TemporaryDirectory() as root:
        for number, picture in enumerate(pictures):
            level = 6 if number in repacked else 1
            Image.fromarray(picture).save(Path(root) / f'{number:06}.png', compress_level=level)
        start = time.monotonic()
        result = audit(Path(root), options.threshold)
        print(f'{name}: {len(pictures)} pictures, {time.monotonic() - start:.0f} s')
    right = Counter(kind for a, b, kind in planted if result.repeats[a] and result.repeats[a] == result.repeats[b])
    scores = {(pair.first, pair.second): pair.score for pair in result.pairs}
    for kind in KINDS:
        lowest = min(scores.get((a, b), np.nan) for a, b, of in planted if of == kind)
        print(f'  {kind:12} {right[kind]} of {options.each}, lowest score {lowest:.2f}')
    return sorted(score for (a, b), score in scores.items() if shows[a] != shows[b])


def timed(cells: int, seed: int, threshold: float) -> None:
    """Prints how long a folder of `cells` different drawn cells takes, and what is reported in it."""
    with tempfile.TemporaryDirectory() as root:
        for number, picture in enumerate(drawings(cells, seed)):
            Image.fromarray(picture).save(Path(root) / f'{number:06}.png', compress_level=1)
        start = time.monotonic()
        result = audit(Path(root), threshold, progress=sys.stderr.isatty())
        print(f'{cells} cells: {(time.monotonic() - start) / 60:.1f} minutes, {len(result.pairs)} pairs, '
              f'scores {[round(pair.score, 2) for pair in result.pairs[:20]]}')  # fmt: skip


if __name__ == '__main__':
    main()
