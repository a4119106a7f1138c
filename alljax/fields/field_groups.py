"""The patient or slide of each field, by a table or by what its name has in common with others."""

import re
from collections.abc import Sequence
from pathlib import Path

from alljax.data.datasets import tables
from alljax.errors import UserError, some


def chosen(table: Path | None, pattern: str | None, fields: Sequence[str]) -> dict[str, str] | None:
    """The group of each field by a table or by a pattern; None if neither was given, UserError for both."""
    if table and pattern:
        raise UserError('--groups and --group_pattern exclude each other; give one of them')
    if table:
        return from_table(table, fields)
    return from_pattern(pattern, fields) if pattern else None


def from_table(path: Path, fields: Sequence[str], column: str = 'group') -> dict[str, str]:
    """The group, or what else the column says, of each field by a CSV of `field,group`.

    UserError for one that is no such table, or lacks a field.
    """
    problems: list[str] = []
    lines = tables.lines(path, problems)
    key = 'file' if lines and 'field' not in lines.names and 'file' in lines.names else 'field'
    rows = tables.read(path, (column,), problems, key=key) if lines else {}
    matches = tables.match(rows, fields)
    problems += tables.match_problems(path.name, matches)
    found = {file: rows[name][column] for name, file in matches.files.items() if rows[name].get(column)}
    without = [field for field in fields if field not in found]
    if without and not problems:
        problems.append(f'{path}: has no {column} for {some(without, 4)}; add a line for each, {key},{column}')
    if problems:
        raise UserError(*problems)
    return found


def from_pattern(pattern: str, fields: Sequence[str]) -> dict[str, str]:
    """The group of each field by a regular expression: its first group in parentheses, else all that it matches.

    The expression is looked for in the field's path without its suffix. UserError for no regular expression, and for
    fields in which it finds nothing.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f'--group_pattern {pattern}: is no regular expression ({error}); correct it') from None
    matches = {field: expression.search(field.rpartition('.')[0]) for field in fields}
    found = {field: match[1] if expression.groups else match[0] for field, match in matches.items() if match}
    without = [field for field in fields if not found.get(field)]
    if without:
        raise UserError(
            f'--group_pattern {pattern}: finds nothing in {some(without, 4)}; correct it, or name the groups with '
            '--groups CSV'
        )
    return found
