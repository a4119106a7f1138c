"""groups.csv for the loaders, pairs.csv for programs, audit.html for the eye; what was there before is kept."""

import shutil
from pathlib import Path
from typing import Any

from alljax.data.audit import audit_page
from alljax.data.datasets.listing import GROUPS_CSV
from alljax.errors import UserError
from alljax.storage.text_files import csv_text, write_text

PAGE = 'audit.html'
COLUMNS = ('file', 'group', 'repeat')
PAIRS_CSV = 'pairs.csv'
PAIR_COLUMNS = ('file', 'other_file', 'kind', 'score', 'one_cell')


def write(audit: Any, out: Path | None = None, track: audit_page.Track = iter) -> list[Path]:
    """Write the files, to the folder where the loaders look or to `out`; return all that was written, kept ones too.

    `track` may show progress over the pictures of the page. UserError if `out` is a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f'{out}: is a file, expected a folder; correct --out')
    table = audit.listing.groups_csv if out is None else out / GROUPS_CSV
    html = table.with_name(PAGE) if out is not None else audit.listing.home / PAGE
    table.parent.mkdir(parents=True, exist_ok=True)
    text = groups_csv(audit)
    pairs = html.with_name(PAIRS_CSV)
    written = [table, pairs, html]
    if table.exists() and table.read_bytes() != text.encode():
        written.append(_kept(table))
    if html.exists() and audit_page.MARK not in html.read_text(encoding='utf-8', errors='replace'):
        written.append(_kept(html))
    if pairs.exists() and not pairs.read_bytes().startswith(csv_text(PAIR_COLUMNS, []).encode()):
        written.append(_kept(pairs))
    write_text(table, text)
    write_text(pairs, pairs_csv(audit))
    write_text(html, audit_page.render(audit, COLUMNS, written, track))
    return written


def groups_csv(audit: Any) -> str:
    """The table of an audit: a line for each file, with its group and, if it shows a repeated cell, which."""
    return csv_text(COLUMNS, zip(audit.listing.files, audit.groups, audit.repeats, strict=True))


def pairs_csv(audit: Any) -> str:
    """The table of all pairs, the most alike first; `one_cell` is 0 for neighbors in one field."""
    files = audit.listing.files
    rows = [
        (files[pair.first], files[pair.second], pair.kind, f'{pair.score:.4f}', int(pair.one_cell))
        for pair in sorted(audit.pairs, key=lambda pair: (-pair.score, pair.first, pair.second))
    ]
    return csv_text(PAIR_COLUMNS, rows)


def _kept(path: Path) -> Path:
    """Copy a file to the first free name that says from when it is."""
    number = 1
    while (copy := path.with_name(f'{path.stem}.before-audit-{number}{path.suffix}')).exists():
        number += 1
    shutil.copy2(path, copy)
    return copy
