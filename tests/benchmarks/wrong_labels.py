"""A copy of class folders in which the labels of some cells are changed at random, to be found by --suspects.

    python tests/benchmarks/wrong_labels.py CELLS COPY [--part 0.05] [--seed 7]

CELLS holds a cells.csv (file,label,group). Each changed file lies in the folder of another class; COPY.changed.csv
names it and its true class.
"""

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np


def main() -> None:
    """Writes the copy, and prints how many labels were changed."""
    parser = argparse.ArgumentParser()
    parser.add_argument('cells', type=Path)
    parser.add_argument('copy', type=Path)
    parser.add_argument('--part', type=float, default=0.05)
    parser.add_argument('--seed', type=int, default=7)
    options = parser.parse_args()
    with (options.cells / 'cells.csv').open() as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(options.seed)
    classes = sorted({row['label'] for row in rows})
    changed = set(rng.choice(len(rows), round(options.part * len(rows)), replace=False).tolist())
    options.copy.mkdir(parents=True)
    cells, truth = [], []
    for place, row in enumerate(rows):
        label = row['label']
        if place in changed:
            label = classes[(classes.index(label) + int(rng.integers(1, len(classes)))) % len(classes)]
            truth.append((f'{label}/{Path(row["file"]).name}', row['label']))
        to = options.copy / label / Path(row['file']).name
        to.parent.mkdir(exist_ok=True)
        shutil.copy(options.cells / row['file'], to)
        cells.append((f'{label}/{to.name}', label, row['group']))
    _write(options.copy / 'cells.csv', ('file', 'label', 'group'), cells)
    _write(options.copy.with_name(f'{options.copy.name}.changed.csv'), ('file', 'class'), truth)
    print(f'{len(truth)} of {len(rows)} labels changed')


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([columns, *rows])


if __name__ == '__main__':
    main()
