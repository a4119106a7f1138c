"""groups.csv for the loaders and audit.html for the eye; what was there before is kept under another name."""

import shutil
from pathlib import Path
from typing import Any

from alljax.data.audit import audit_page
from alljax.data.datasets.listing import GROUPS_CSV
from alljax.errors import UserError
from alljax.storage.text_files import csv_text, write_text

PAGE = 'audit.html'
COLUMNS = ('file', 'group', 'repeat')


def write(audit: Any, out: Path | None = None) -> list[Path]:
    """Write both files, to the folder where the loaders look or to `out`; return all that was written, kept ones too.

    UserError if `out` is a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f'{out}: is a file, expected a folder; correct --out')
    table = audit.listing.groups_csv if out is None else out / GROUPS_CSV
    html = table.with_name(PAGE) if out is not None else audit.listing.home / PAGE
    table.parent.mkdir(parents=True, exist_ok=True)
    text = groups_csv(audit)
    written = [table, html]
    if table.exists() and table.read_bytes() != text.encode():
        written.append(_kept(table))
    if html.exists() and audit_page.MARK not in html.read_text(encoding='utf-8', errors='replace'):
        written.append(_kept(html))
    write_text(table, text)
    write_text(html, audit_page.render(audit, written))
    return written


def groups_csv(audit: Any) -> str:
    """The table of an audit: a line for each file, with its group and, if it shows a repeated cell, which."""
    return csv_text(COLUMNS, zip(audit.listing.files, audit.groups, audit.repeats, strict=True))


def _kept(path: Path) -> Path:
    """Copy a file to the first free name that says from when it is."""
    number = 1
    while (copy := path.with_name(f'{path.stem}.before-audit-{number}{path.suffix}')).exists():
        number += 1
    shutil.copy2(path, copy)
    return copy
