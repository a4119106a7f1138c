"""Checksums of arrays and files, by which damage on the disk is told before anything is computed from it.

CRC-32 finds every flip of up to 32 bits in a row and misses one in four billion of other damages. It is no protection
against an attacker, and at 3 GB a second it costs next to nothing.
"""

import json
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

Checksums = Mapping[str, str]  # name of a leaf or file → its checksum
CHUNK = 1 << 22


class Damaged(Exception):
    """The damage of a file or folder, in words that lack the remedy: that is its reader's to say."""


def of_array(array: Shaped[np.ndarray, ' ...']) -> str:
    """'float32 9216x4096 crc32 1f2e3d4c': the type, the shape and the checksum of an array."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    shape = 'x'.join(map(str, array.shape)) or 'scalar'
    return f'{array.dtype} {shape} crc32 {zlib.crc32(content.data):08x}'


def of_file(path: Path) -> str:
    """'123456 bytes crc32 1f2e3d4c': the size and the checksum of a file; Damaged if it is none, or cannot be read."""
    found, size = 0, 0
    try:
        with path.open('rb') as file:
            while chunk := file.read(CHUNK):
                found, size = zlib.crc32(chunk, found), size + len(chunk)
    except FileNotFoundError:
        raise Damaged('is missing') from None
    except OSError as error:
        raise Damaged(f'cannot be read ({error.strerror})') from None
    return f'{size} bytes crc32 {found:08x}'


def of_files(folder: Path, *, without: Collection[str] = ()) -> dict[str, str]:
    """The checksum of each file in a folder and below, by its path in it, but for those at or below `without`."""
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: of_file(path) for name, path in named.items() if name.partition('/')[0] not in without}


def of_values(values: Mapping[str, Any]) -> str:  # Any: values of JSON
    """The checksum of JSON's values, however they are spaced in a file and whatever their order."""
    return f'crc32 {zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}'


def check_files(folder: Path, expected: Checksums) -> None:
    """Damaged, naming the first of these files in a folder that is not as it was written."""
    for name, checksum in expected.items():
        try:
            found = of_file(folder / name)
        except Damaged as error:
            raise Damaged(f'{name} {error}') from None
        if found != checksum:
            raise Damaged(f'{name} is {found}, expected {checksum}')
