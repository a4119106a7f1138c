"""Small records in the cache: files of JSON with a checksum, so that what is damaged is made again, never believed."""

import logging
from pathlib import Path

from alljax.storage import checksums
from alljax.storage.atomic import delete, write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import Json, read_object

log = logging.getLogger(__name__)

CHECKSUM = 'checksum'  # a key of its own, over all others


def read(path: Path, then: str = 'it is part of the cache, and made again') -> Json | None:
    """The content of a record as it was given to `write`; None for a damaged one, and if there is none.

    Damage is said in the log, with what happens `then`.
    """
    try:
        found = dict(read_object(path))
        if CHECKSUM not in found:
            raise Damaged('has no checksum, as earlier releases wrote it')
        if found.pop(CHECKSUM) != checksums.of_values(found):
            raise Damaged('is not as it was written')
    except Damaged as error:
        if path.exists():
            log.warning('%s: %s; %s', path, error, then)
        return None
    return found


def write(path: Path, values: Json) -> None:
    """Keeps a record in the place of an earlier or damaged one; `values` are those of JSON."""
    if path.is_dir():
        delete(path)
    write_json(path, {**values, CHECKSUM: checksums.of_values(values)})
