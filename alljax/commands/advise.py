"""Says, before anything is trained, how to test on a folder of cells, what to run, and what to expect on a new slide.

From cheap features alone: how well classes and slides are told apart, and whether more slides would help. A minute for
500 cells.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from alljax.commands import Parser, taking_a_folder
from alljax.errors import UserError, printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the advice, and writes its page if one is asked for."""
    options = _parser().parse_args(arguments)
    from alljax.storage.disk_errors import expect_writable

    if options.to and options.to.is_file():
        raise UserError(f'{options.to}: is a file, expected a folder; correct --to')
    if options.to:
        expect_writable(options.to, '--to')
    from alljax.storage import progress_bar

    with progress_bar.shown('reading the cells'), taking_a_folder('advise'):
        from alljax.runs import advice
        from alljax.runs.advice import features, page, sentences

        cells, task = advice.read(options.folder)
    found = advice.advise(cells, features.measure(cells, _tracked), task, _tracked)
    for section in sentences.sections(found):
        print(f'\n{section.title}')
        print(*(f'  {printable(line, keep="")}' for line in (*section.sentences, *section.commands)), sep='\n')
    print('\nIn brackets: 95% intervals, whole slides (without slides: cells) drawn anew.')
    if options.to:
        print(f'written: {page.write(found, options.to)}')
    return 0


def _tracked(items: Sequence[Any], desc: str, unit: str = ' parts') -> Iterable[Any]:
    """The items, with a bar that shows how many are done."""
    from alljax.storage import progress_bar

    return progress_bar.each(items, desc, len(items), unit)


def _parser() -> Parser:
    parser = Parser('advise', __doc__ or '', 'alljax advise /path/to/my/cells --to advice')
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='ALL-IDB2, or a folder of class folders')
    parser.add_argument('--to', type=Path, metavar='DIR', help='write the same as a page with figures, DIR/advice.html')
    return parser
