"""The origin of crops that were cut out of whole fields: crops.json, which lies beside the class folders."""

from pathlib import Path
from typing import NamedTuple

from alljax.errors import UserError
from alljax.storage.atomic import write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import read_object, read_record

MARKER = 'crops.json'


class CropsRecord(NamedTuple):
    """The fields that crops were cut out of."""

    fields_root: str  # the folder of the fields, absolute
    fields: tuple[str, ...]  # those with a crop, relative to it
    format: str  # of their annotations
    all_idb1: bool  # they are ALL-IDB1's, out of which ALL-IDB2 is cut, too
    grouped_by_field: bool = True  # the groups are the fields, so that patients and slides stay unknown
    size: int = 257  # pixels a side of a crop
    scale: float = 1.0  # pixels of a field for a pixel of a crop


def write(folder: Path, record: CropsRecord) -> None:
    """Writes the record into the folder of the crops."""
    write_json(folder / MARKER, record._asdict())


def read(folder: Path) -> CropsRecord | None:
    """The record of a folder; None for any other folder. UserError for a damaged one."""
    path = folder / MARKER
    if not path.is_file():
        return None
    try:
        return read_record(CropsRecord, read_object(path), path)
    except Damaged as error:
        raise _damaged(path, f'{error}') from None
    except UserError as error:
        raise _damaged(path, f'{error}'.removeprefix(f'{path}: ').partition(';')[0]) from None


def field_group(field: str) -> str:
    """The name of the group of all crops of a field."""
    return field.rpartition('.')[0]


def unnamed_groups(folder: Path) -> tuple[str, ...]:
    """The names of groups that stand for no patient or slide, but for one field; none for a folder of other cells."""
    record = read(folder)
    return tuple(map(field_group, record.fields)) if record and record.grouped_by_field else ()


def _damaged(path: Path, said: str) -> UserError:
    return UserError(
        f'{path}: {said}, so it is not known what the crops were cut out of; cut them again (alljax crops)'
    )
