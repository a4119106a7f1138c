"""Values for the script of audit.html: the pairs, and all that it needs to make groups.csv without those marked."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from alljax.data.audit.not_same_table import COLUMNS as NOT_SAME_COLUMNS
from alljax.data.audit.repeat_kinds import without_numbers
from alljax.storage.text_files import csv_line


def page_data(audit: Any, columns: Sequence[str], pairs: Sequence[Any], pictured: Iterable[int]) -> dict[str, Any]:
    """Values of JSON for audit.js; `columns` are those of groups.csv, `pictured` the cells with a picture on the page.

    Groups are numbered so that the lowest number of a joined set names it: the rule of alljax.data.groups.merged. The
    pairs come in the order in which they are shown.
    """
    files, labels, before = audit.listing.files, audit.listing.labels, audit.listing.groups
    unnamed = audit.listing.unnamed_groups
    names = sorted(dict.fromkeys(before), key=lambda name: name in unnamed)
    number = {name: place for place, name in enumerate(names)}
    return {
        'key': _key(audit),
        'files': files,
        'labels': labels,
        'groups': [number[name] for name in before],
        'names': names,
        'named': sum(name not in unnamed for name in names),  # the first so many
        'pairs': [
            [pair.first, pair.second, pair.kind, without_numbers(pair.kind), round(pair.score, 4), int(pair.one_cell)]
            for pair in pairs
        ],
        'uncompared': audit.uncompared,
        'pictured': list(pictured),
        'csv': {
            'groups': csv_line(columns),
            'not_same': csv_line(NOT_SAME_COLUMNS),
            'cells': _cells({*files, *names}),
        },
    }


def _cells(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names that stand otherwise in a CSV file, and how: the script needs to know no rule of quoting."""
    # as text_files.write_text writes a name that is not UTF-8
    written = ((name, csv_line([name], '').encode(errors='backslashreplace').decode()) for name in sorted(names))
    return [(name, cell) for name, cell in written if cell != name]


def _key(audit: Any) -> str:
    """A name for this audit, under which a browser keeps the marks."""
    facts = audit.listing.files, audit.listing.labels, audit.listing.groups, audit.pairs
    return hashlib.sha256(repr(facts).encode(errors='backslashreplace')).hexdigest()[:16]
