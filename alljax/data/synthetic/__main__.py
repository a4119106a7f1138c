"""Draws a set of cells: python -m alljax.data.synthetic OUT --cells 260 --seed 0."""

import argparse
from pathlib import Path

from alljax.data.synthetic.folder import write
from alljax.errors import told_to_the_user


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(prog='python -m alljax.data.synthetic', description=__doc__)
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write, new or empty')
    parser.add_argument('--cells', type=int, default=260, help='number of cells, half of them blasts (default 260)')
    parser.add_argument('--seed', type=int, default=0, help='the same seed draws the same files (default 0)')
    parser.add_argument('--repeats', type=int, default=0, help='of them altered copies of others, without groups.csv')
    arguments = parser.parse_args()
    with told_to_the_user():
        write(arguments.out, arguments.cells, arguments.seed, arguments.repeats)
        print(f'{arguments.cells} drawn cells in {arguments.out / "ALL_IDB2"}')


if __name__ == '__main__':
    main()
