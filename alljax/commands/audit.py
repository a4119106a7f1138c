"""Finds repeated cells and shortcuts in a folder of cell crops; writes groups.csv, pairs.csv and audit.html into it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, tell
from alljax.errors import UserError, printable, some

if TYPE_CHECKING:
    from alljax.data.audit import Audit


def main(arguments: Sequence[str] | None = None) -> int:
    """Audits, writes and tells in short what was found."""
    options = _parser().parse_args(arguments)
    if options.threshold is not None and not 0 < options.threshold <= 1:
        raise UserError(f'--threshold {options.threshold}: expected a number above 0, up to 1')
    from functools import partial

    from alljax.storage import progress_bar

    with progress_bar.shown('starting'):
        from alljax.data.audit import THRESHOLD, audit
        from alljax.data.audit.audit_files import write
        from alljax.fields import whole_fields
        from alljax.storage.disk_errors import expect_writable

    if options.out and not options.out.is_file():
        expect_writable(options.out, '--out')
    threshold = THRESHOLD if options.threshold is None else options.threshold
    found = audit(options.folder, threshold, progress_bar.on_terminal(), options.not_same)
    bar = partial(progress_bar.each, name='writing audit.html', total=0, unit=' pictures')
    if said := whole_fields.sentence([found.listing.home / file for file in found.listing.files]):
        tell(said)
    written = write(found, options.out, bar)
    print(*(printable(line, keep='') for line in summary(found, written)), sep='\n')
    return 0


def summary(found: 'Audit', written: list[Path]) -> list[str]:
    """The lines that the command prints."""
    from alljax.data.audit.audit_page import accuracy, counted, interval

    files, labels = found.listing.files, found.listing.labels
    lines = [f'{found.listing.home}: {len(files)} pictures, {len(found.pairs)} repeated pairs']
    lines += [f'  {count:6} {kind}' for kind, count in counted(found.pairs).items()]
    for cells in list(found.conflicts.values())[:8]:
        told = some([f'{files[cell]} ({labels[cell]})' for cell in cells], 4)
        lines.append(f'  labels in conflict: {told}')
    if len(found.conflicts) > 8:
        lines.append(f'  labels in conflict: {len(found.conflicts) - 8} more cells, see audit.html')
    lines.append(f'groups: {len(set(found.listing.groups))} before, {len(set(found.groups))} now')
    if found.shortcuts:
        chance = f'{found.shortcuts[0].chance:.0%}'
        lines.append(f'the label told without a look at the cell (balanced accuracy, chance {chance}):')
        lines += [f'  {s.name:10} {accuracy(s):>4} ({interval(s)})  {s.verdict}' for s in found.shortcuts]
        lines += _advice(found)
    lines += [f'note: {note}' for note in found.listing.notes]
    return [*lines, *(f'written: {path}' for path in written)]


def _advice(found: 'Audit') -> list[str]:
    """The words about shortcuts that tell the label, in short; none without any."""
    from alljax.data.audit.shortcut_advice import fixes, of_audit

    advices = of_audit(found)
    if not advices:
        return []
    told = [f'{advice.finding}: {advice.so_what}' for advice in advices]
    return [*told, 'what to do:', *(f'  - {": ".join(filter(None, fix))}' for fix in fixes(advices))]


def _parser() -> Parser:
    parser = Parser('audit', __doc__, 'alljax audit /path/to/ALL_IDB2', _threshold)
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='ALL-IDB2, class folders, or a folder of images')
    parser.add_argument('--out', type=Path, metavar='DIR', help='write the files there instead')
    parser.add_argument(
        '--threshold', type=float, metavar='T', help='least score of a pair, 0 to 1; other cells stay below 0.5'
    )
    parser.add_argument(
        '--not_same',
        type=Path,
        metavar='CSV',
        help='pairs that are different cells (file,other_file), as audit.html writes them',
    )
    return parser


def _threshold() -> str:
    from alljax.data.audit import THRESHOLD

    return f'Without --threshold a pair needs a score of {THRESHOLD}.'
