"""The heat maps of a run's test cells on disk, for the report of a cross-validation that the run is a fold of."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from alljax.storage.atomic import write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import read_object

FILE = 'heat_maps.json'

HeatMaps = Mapping[str, bytes]  # by file of a cell, a JPEG file of a map over the gray cell


def write(folder: Path, maps: HeatMaps) -> None:
    """Writes heat_maps.json; without maps, one of an earlier evaluation is deleted."""
    if maps:
        write_json(folder / FILE, {file: base64.b64encode(jpeg).decode('ascii') for file, jpeg in maps.items()})
    else:
        (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> HeatMaps:
    """The heat maps of a finished run; none for a run without, of an earlier release, and where they are damaged."""
    with suppress(Damaged, ValueError, TypeError):
        found = read_object(folder / FILE)
        return {file: base64.b64decode(jpeg, validate=True) for file, jpeg in found.items()}
    return {}
