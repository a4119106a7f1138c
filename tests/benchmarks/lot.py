"""A copy of an audited set whose subtypes are drawn by lot: whatever a network scores on them, it did not learn.

python tests/benchmarks/lot.py planted lot
"""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np


def main(source: Path, copy: Path) -> None:
    """Draws one lot for all pictures of a cell, as groups.csv knows them."""
    shutil.copytree(source, copy)
    home = copy / 'ALL_IDB2'
    with (home / 'groups.csv').open() as file:
        repeats = {Path(row['file']).name: row['repeat'] for row in csv.DictReader(file)}
    with (home / 'subtypes.csv').open() as file:
        blasts = [row['file'] for row in csv.DictReader(file)]
    rng, drawn = np.random.default_rng(0), {}
    for blast in blasts:
        drawn.setdefault(repeats.get(blast) or blast, ('L1', 'L2', 'L3')[rng.integers(3)])
    with (home / 'subtypes.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerows([('file', 'subtype'), *((blast, drawn[repeats.get(blast) or blast]) for blast in blasts)])


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
