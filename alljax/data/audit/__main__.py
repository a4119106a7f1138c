"""Finds repeated cells and shortcuts in a folder of cell crops; writes groups.csv and audit.html into it."""

import argparse
import sys
from pathlib import Path

from alljax.data.audit import THRESHOLD, Audit, audit
from alljax.data.audit.audit_files import write
from alljax.data.audit.page import accuracy, counted, interval
from alljax.errors import UserError, some, told_to_the_user


def main() -> None:
    """Read the command line, audit, write and tell in short."""
    parser = argparse.ArgumentParser(prog='python -m alljax.data.audit', description=__doc__)
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='ALL-IDB2, class folders, or a folder of images')
    parser.add_argument('--out', type=Path, metavar='DIR', help='write both files there instead')
    parser.add_argument(
        '--threshold',
        type=float,
        default=THRESHOLD,
        metavar='T',
        help=f'least score of a pair, 0 to 1 (default {THRESHOLD}); other cells stay below 0.5',
    )
    arguments = parser.parse_args()
    with told_to_the_user('nothing was written; the same command starts again'):
        if not 0 < arguments.threshold <= 1:
            raise UserError(f'--threshold {arguments.threshold}: expected a number above 0, up to 1')
        found = audit(arguments.folder, arguments.threshold, progress=sys.stderr.isatty())
        written = write(found, arguments.out)
        print('\n'.join(summary(found, written)))


def summary(found: Audit, written: list[Path]) -> list[str]:
    """The lines that the command prints."""
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
    lines += [f'note: {note}' for note in found.listing.notes]
    return [*lines, *(f'written: {path}' for path in written)]


if __name__ == '__main__':
    main()
