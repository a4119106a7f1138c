"""The version of the formats of checkpoints and model folders: a folder of another version is refused by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alljax.errors import UserError

FORMAT = 1  # raise it whenever this release could not read what an earlier one wrote


def check_format(values: Mapping[str, Any], folder: Path) -> None:  # any JSON values: one of them is looked at
    """UserError if the values that were saved in a folder are of another format than FORMAT."""
    if values.get('format') != FORMAT:
        raise UserError(
            f'{folder}: is of format {values.get("format")}, this release of alljax reads {FORMAT}; '
            'use the release that wrote it, or train again'
        )
