"""The label of a whole field, blast or normal: by a table, or by its name as ALL-IDB1 has it."""

import re
from collections.abc import Sequence
from pathlib import Path

from alljax.errors import UserError, some
from alljax.fields import field_groups

BLAST, NORMAL = 'blast', 'normal'
SPELLINGS = {BLAST: BLAST, '1': BLAST, NORMAL: NORMAL, '0': NORMAL}
NAME = re.compile(r'(?:.*/)?Im\d{3,}_([01])\.\w+', re.IGNORECASE)  # 1 for a field with a blast in it


def from_table(path: Path, fields: Sequence[str]) -> dict[str, str]:
    """The label of each field by a CSV of `field,label`; UserError for another table, a field or label that is none."""
    said = field_groups.from_table(path, fields, 'label')
    if strange := sorted({label for label in said.values() if label.lower() not in SPELLINGS}):
        raise UserError(f'{path}: has the labels {some(strange, 4)}; a field is blast (or 1) or normal (or 0)')
    return {field: SPELLINGS[label.lower()] for field, label in said.items()}


def from_names(fields: Sequence[str]) -> dict[str, str]:
    """The labels of fields that are all named as in ALL-IDB1 (Im001_1.jpg); none for others."""
    matches = {field: NAME.fullmatch(field) for field in fields}
    found = {field: SPELLINGS[match[1]] for field, match in matches.items() if match}
    return found if len(found) == len(fields) else {}
