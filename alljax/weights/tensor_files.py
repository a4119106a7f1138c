"""A file of weights, whatever wrote it, as a dictionary of tensors."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import ml_dtypes  # noqa: F401  # gives NumPy the bfloat16 that safetensors asks it for
import numpy as np
import safetensors

from alljax.errors import UserError, some
from alljax.weights import torch_file
from alljax.weights.file_errors import excerpt

DEPTH, TENSORS = 8, 100_000  # of dictionaries within each other: a checkpoint has three, and a thousand tensors
ALONE = "save the weights alone, with torch.save(model.state_dict(), 'weights.pth')"


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name, from a file of safetensors, torch.save or numpy.savez.

    A tensor in a dictionary within the file's is named after both, as 'state_dict.conv1.weight'; what is no tensor is
    left out. The arrays may be read-only views of the file. UserError if the file is none of the three, is damaged, or
    holds no tensors.
    """
    tensors = _by_format(path)
    # A view can repeat one element at no cost, until somebody copies it.
    claimed, size = sum(tensor.nbytes for tensor in tensors.values()), path.stat().st_size
    if claimed > 4 * size + 2**26:
        raise UserError(f'{path}: declares tensors of {claimed} bytes but has {size}; save their clone() instead')
    return tensors


def _by_format(path: Path) -> dict[str, np.ndarray]:
    if _is_safetensors(path):
        return _read_safetensors(path)
    names = _numpy_names(path)
    return _read_numpy(path, names) if names else tensors_of(path, torch_file.read(path))


def _is_safetensors(path: Path) -> bool:
    try:
        with path.open('rb') as file:
            return file.read(9)[8:] == b'{'
    except OSError:
        return False  # what is wrong with the file is told by the other reader


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        with safetensors.safe_open(path, framework='np') as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        why = excerpt(str(error))
        raise UserError(f'{path}: is no whole safetensors file, or of unknown types ({why}); get it again') from None
    if not tensors:
        raise UserError(f'{path}: holds no tensors, expected those of a network; get it again')
    return tensors


def _numpy_names(path: Path) -> list[str]:
    """The names of the arrays of a file of numpy.savez; none for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []  # what is wrong with the file is told by the reader of torch's, whose files are archives too
    return [name.removesuffix('.npy') for name in names] if all(name.endswith('.npy') for name in names) else []


def _read_numpy(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        claimed, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
    if claimed > 4 * size + 2**26:
        raise UserError(f'{path}: unpacks to {claimed} bytes from {size}, which weights never do; get it again')
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name.replace('/', '.'): file[name] for name in names}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise UserError(
            f'{path}: holds an array that cannot be read ({excerpt(str(error))}); save plain arrays of numbers with '
            'numpy.savez, or get it again'
        ) from None


def tensors_of(path: Path, content: Any) -> dict[str, np.ndarray]:
    """Tensors by name in the dictionaries of a file; UserError, naming it, if there are none."""
    if not isinstance(content, dict):
        raise UserError(f'{path}: holds one {_kind(content)}, expected a dictionary of tensors; {ALONE}')
    found: dict[str, np.ndarray] = {}
    for name, tensor in _walk(content, '', 0):
        if name in found or len(found) >= TENSORS:
            raise UserError(f'{path}: holds {excerpt(name)} twice, or more than {TENSORS} tensors; {ALONE}')
        found[name] = tensor
    if found:
        return found
    if any({'state', 'param_groups'} <= inside.keys() for inside in (content, *content.values()) if _is_dict(inside)):
        raise UserError(f"{path}: holds an optimizer's state, expected a dictionary of tensors; {ALONE}")
    if all(_is_dict(value) and not value for value in content.values()):
        raise UserError(f'{path}: holds no tensors, expected those of a network; {ALONE}')
    other = [f'{excerpt(str(name))} ({_kind(value)})' for name, value in content.items()]
    raise UserError(f'{path}: holds {some(other, 20)}, expected tensors by name; {ALONE}')


def _walk(content: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors by name, of the dictionaries within too; an optimizer's, which are by number, are none of these."""
    for name, value in content.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, np.ndarray):
            yield prefix + name, value
        elif isinstance(value, dict) and depth < DEPTH:
            yield from _walk(value, f'{prefix}{name}.', depth + 1)


def _is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _kind(value: object) -> str:
    return 'tensor' if isinstance(value, np.ndarray) else type(value).__name__
