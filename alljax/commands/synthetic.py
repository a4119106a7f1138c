"""Draws a set of synthetic cells, in folders as those of ALL-IDB2."""

from collections.abc import Sequence
from pathlib import Path

from alljax.commands import Parser
from alljax.errors import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the folder and says where it is."""
    options = _parser().parse_args(arguments)
    from alljax.data.synthetic.folder import write

    write(options.out, options.cells, options.seed, options.repeats)
    print(printable(f'{options.cells} drawn cells in {options.out / "ALL_IDB2"}'))
    return 0


def _parser() -> Parser:
    parser = Parser('synthetic', __doc__, 'alljax synthetic drawn --cells 260 --seed 0')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write, new or empty')
    parser.add_argument('--cells', type=int, default=260, help='number of cells, half of them blasts (default 260)')
    parser.add_argument('--seed', type=int, default=0, help='the same seed draws the same files (default 0)')
    parser.add_argument('--repeats', type=int, default=0, help='of them altered copies of others, without groups.csv')
    return parser
