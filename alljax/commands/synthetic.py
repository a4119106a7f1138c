"""Draws a set of synthetic cells, in folders as those of ALL-IDB2, or of whole fields, as those of ALL-IDB1.

Fields come with the centers of their blasts (xyc/), and, which the real set lacks, with boxes of all white cells
(boxes.csv), their masks and their slides.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from alljax.commands import Parser
from alljax.errors import UserError, printable

CELLS = 260


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the folder and says where it is."""
    options = _parser().parse_args(arguments)
    if options.fields is not None:
        if options.cells is not None or options.repeats:
            raise UserError('--fields draws whole fields, --cells and --repeats single cells; give either')
        from alljax.data.synthetic.field_folder import FOLDER, write_fields

        write_fields(options.out, options.fields, options.seed, _size(options.field_size))
        print(printable(f'{options.fields} drawn fields in {options.out / FOLDER}'))
        return 0
    from alljax.data.synthetic.folder import write

    cells = CELLS if options.cells is None else options.cells
    write(options.out, cells, options.seed, options.repeats)
    print(printable(f'{cells} drawn cells in {options.out / "ALL_IDB2"}'))
    return 0


def _size(said: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d{1,6})[x×](\d{1,6})', said)
    if not match:
        raise UserError(f'--field_size {said}: expected width and height, as 640x480')
    return int(match[1]), int(match[2])


def _parser() -> Parser:
    parser = Parser('synthetic', __doc__ or '', 'alljax synthetic drawn --cells 260 --seed 0')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write, new or empty')
    parser.add_argument('--cells', type=int, help=f'number of cells, half of them blasts (default {CELLS})')
    parser.add_argument('--seed', type=int, default=0, help='the same seed draws the same files (default 0)')
    parser.add_argument('--repeats', type=int, default=0, help='of them altered copies of others, without groups.csv')
    parser.add_argument('--fields', type=int, help='draw so many whole fields instead, a few seconds each')
    parser.add_argument(
        '--field_size', default='2592x1944', metavar='WxH', help='pixels of a field (default 2592x1944, as in ALL-IDB1)'
    )
    return parser
