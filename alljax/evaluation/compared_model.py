"""The model behind a row of a comparison: its name, its reports, and the slides that its errors are on."""

from collections.abc import Mapping
from typing import NamedTuple

from alljax.evaluation import formatting


class ComparedModel(NamedTuple):
    """The model behind a row, and where to read more of it."""

    model: str  # its name; '' where it is not known
    pages: Mapping[str, str]  # address of a report, from the folder of the table → what it is of
    worst: str  # a sentence on the slides that make half of its errors; '' if there is none


def markdown_section(models: Mapping[str, ComparedModel]) -> str:
    """The models of experiments, by their names, as a section of Markdown; '' if nothing is known of them."""
    grid = [('cell', 'model', 'worst slides'), ('---', '---', '---')]
    grid += [(name, one.model or formatting.MISSING, one.worst or formatting.MISSING)
             for name, one in models.items() if one.model or one.worst]  # fmt: skip
    rows = [' | '.join(map(formatting.markdown, row)) for row in grid]
    return '## Models\n\n' + '\n'.join(f'| {row} |' for row in rows) if len(grid) > 2 else ''
