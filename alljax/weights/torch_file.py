"""Files of torch.save, read without torch: tensors and plain containers, and nothing a file could run.

A file is a pickle, which names storages, and the bytes of those storages: records of a zip archive since torch 1.6, one
stream before. The formats are those of torch/serialization.py: `_save` and `_load`, `_legacy_save` and `_legacy_load`.
"""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from alljax.errors import some
from alljax.weights import torch_pickle
from alljax.weights.file_errors import AGAIN, UnreadableFile, as_user_errors, excerpt
from alljax.weights.torch_pickle import REMEDY

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SMALL = 2**24  # bytes of a pickle or a zip directory; a network of ten thousand tensors needs a tenth

WEB = 'a web page, so its download has failed; get it again, and look at the address in a browser'
KINDS = {
    b'<!doctype': WEB,
    b'<html': WEB,
    b'version https://git-lfs': "a git-lfs pointer, not the file it stands for; fetch that with 'git lfs pull'",
    b'\x89hdf': 'an HDF5 file (of Keras, perhaps), expected one of torch.save',
    b'\x93numpy': 'a NumPy array, expected a file of torch.save',
    b'\x1f\x8b': 'compressed with gzip; unpack it with gunzip',
}


def read(path: Path) -> object:
    """The object that torch.save was given: dict, list, tuple, str, numbers, bool, None, dtypes, and tensors as arrays.

    The arrays are read-only views of the file, of any strides and alignment; bfloat16 is that of ml_dtypes. An
    OrderedDict becomes a dict, a Parameter its tensor. UserError if the file holds anything else, is damaged, or is no
    file of torch.save.
    """
    with as_user_errors(path, 'a file of torch.save'):
        return _read(path)


def _read(path: Path) -> object:
    if path.stat().st_size == 0:
        raise UnreadableFile(f'is empty; {AGAIN}')
    raw = np.asarray(np.memmap(path, np.uint8, 'r'))
    head = raw[:512].tobytes()
    if head.startswith(b'PK'):
        return _read_zip(path, raw)
    if head.startswith(b'\x80'):
        return _read_legacy(raw)
    raise UnreadableFile(f'is {_kind(head)}')


def _kind(head: bytes) -> str:
    for mark, kind in KINDS.items():
        if head.lstrip().lower().startswith(mark):
            return kind
    if head[8:9] == b'{':
        return 'a safetensors file, expected one of torch.save; read it with alljax.weights.tensor_files'
    if head[257:262] == b'ustar':
        return f'a tar archive, which only torch before 2017 wrote; unpack it, or load it with torch and {REMEDY}'
    return f'no file of torch.save (it starts with {excerpt(head[:16].decode("latin-1"))!r}); {AGAIN}'


class _Bounded(io.FileIO):
    """A file that hands zipfile no larger directory than an honest archive has."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > SMALL:
            raise zipfile.BadZipFile(f'a directory of {size} bytes')
        return super().read(-1 if size is None else size) or b''


def _read_zip(path: Path, raw: np.ndarray) -> object:
    records, nothing = _records(path, raw), np.zeros(0, np.uint8)
    roots = [name.partition('/')[0] for name in records if name.partition('/')[2] == 'data.pkl']
    if len(roots) != 1:
        names = some([excerpt(name) for name in records], 5) or 'nothing'
        raise UnreadableFile(
            f'is a zip archive that holds {names}, expected data.pkl as in those of torch.save; {REMEDY}'
        )
    root = roots[0]
    if f'{root}/constants.pkl' in records or any(name.startswith(f'{root}/code/') for name in records):
        raise UnreadableFile(f'is a TorchScript program, expected weights; load it with torch.jit.load, then {REMEDY}')
    if bytes(records.get(f'{root}/byteorder', nothing)) not in (b'little', b''):
        raise UnreadableFile(f'was written by a big-endian machine, expected little-endian; on another, {REMEDY}')

    def find(key: str, dtype: np.dtype, count: int) -> np.ndarray:
        data = records.get(f'{root}/data/{key}', nothing)
        if data.size != count * dtype.itemsize:
            raise UnreadableFile(
                f'holds {data.size} bytes of storage {excerpt(key)}, expected {count} {dtype}; {AGAIN}'
            )
        return data

    program = records[f'{root}/data.pkl']
    if program.size > SMALL:
        raise UnreadableFile(f'describes its tensors in {program.size} bytes, expected no more than {SMALL}; {REMEDY}')
    return torch_pickle.load(io.BytesIO(program.tobytes()), find)


def _records(path: Path, raw: np.ndarray) -> dict[str, np.ndarray]:
    """The bytes of an archive's records, none compressed and none inside another, so no more than the file has."""
    with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    records: dict[str, np.ndarray] = {}
    end = 0
    for info in infos:
        name = excerpt(info.filename)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise UnreadableFile(f'holds {name} compressed or encrypted, which torch.save never does; {REMEDY}')
        if info.header_offset < end or info.filename in records:
            raise UnreadableFile(f'holds {name} twice or inside another record, which torch.save never does; {AGAIN}')
        start = info.header_offset + 30 + sum(struct.unpack_from('<HH', raw.data, info.header_offset + 26))
        end = start + info.file_size
        if end > raw.size:
            raise UnreadableFile(f'ends before its record {name} does; {AGAIN}')
        data = raw[start:end]
        # A sum of 0 is none: torch leaves it out on set_crc32_options(False).
        if info.CRC and zlib.crc32(data.data) != info.CRC:
            raise UnreadableFile(f'is damaged in its record {name}; {AGAIN}')
        records[info.filename] = data
    return records


def _read_legacy(raw: np.ndarray) -> object:
    stream = io.BytesIO(raw[:SMALL].tobytes())
    if torch_pickle.load(stream, _nowhere) != MAGIC:
        raise UnreadableFile(f'is a pickle, but not one of torch.save; {REMEDY}')
    version, system = torch_pickle.load(stream, _nowhere), torch_pickle.load(stream, _nowhere)
    if version != PROTOCOL or not isinstance(system, dict) or system.get('little_endian') is not True:
        raise UnreadableFile(f'was written by a big-endian machine or an unknown torch; on another, {REMEDY}')
    start = stream.tell()
    wanted: dict[str, tuple[np.dtype, int]] = {}

    def note(key: str, dtype: np.dtype, count: int) -> None:
        if wanted.setdefault(key, (dtype, count)) != (dtype, count):
            raise UnreadableFile(f'declares storage {excerpt(key)} in two ways; {AGAIN}')

    # The storages come last, and only the pickle knows their sizes: it is read once for these, and again for good.
    torch_pickle.load(stream, note)
    keys, at = torch_pickle.load(stream, _nowhere), stream.tell()
    found = {}
    for key in keys:
        dtype, count = wanted[key]
        end = at + 8 + count * dtype.itemsize
        if int.from_bytes(raw[at : at + 8].tobytes(), 'little') != count or end > raw.size:
            raise UnreadableFile(f'is damaged or truncated in its storage {excerpt(key)}; {AGAIN}')
        found[key], at = raw[at + 8 : end], end
    stream.seek(start)
    return torch_pickle.load(stream, lambda key, dtype, count: found[key])


def _nowhere(key: str, dtype: np.dtype, count: int) -> None:
    raise UnreadableFile(f'names storage {excerpt(key)} where none can be; {AGAIN}')
