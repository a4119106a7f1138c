"""A file of weights, whatever wrote it, as a dictionary of tensors."""

from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  # gives NumPy the bfloat16 that safetensors asks it for
import numpy as np
import safetensors

from alljax.errors import UserError, some
from alljax.weights import torch_file
from alljax.weights.file_errors import printable

WRAPPERS = ('state_dict', 'model_state_dict', 'model')  # where training scripts put a state dict
ALONE = "save the weights alone, with torch.save(model.state_dict(), 'weights.pth')"


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name, from a file of safetensors or torch.save; a checkpoint's state dict, if it holds just one.

    Names lose the `module.` that DataParallel gives to every one. The arrays may be read-only views of the file.
    UserError if the file is neither, is damaged, or holds anything beside tensors.
    """
    tensors = _read_safetensors(path) if _is_safetensors(path) else _state_dict(path, torch_file.read(path))
    # A view can repeat one element at no cost, until somebody copies it.
    claimed, size = sum(tensor.nbytes for tensor in tensors.values()), path.stat().st_size
    if claimed > 4 * size + 2**26:
        raise UserError(f'{path}: declares tensors of {claimed} bytes but has {size}; save their clone() instead')
    if all(name.startswith('module.') for name in tensors):
        return {name.removeprefix('module.'): tensor for name, tensor in tensors.items()}
    return tensors


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
        why = printable(str(error))
        raise UserError(f'{path}: is no whole safetensors file, or of unknown types ({why}); get it again') from None
    if not tensors:
        raise UserError(f'{path}: holds no tensors, expected those of a network; get it again')
    return tensors


def _state_dict(path: Path, content: Any) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        raise UserError(f'{path}: holds one {_kind(content)}, expected a dictionary of tensors; {ALONE}')
    if not any(isinstance(value, np.ndarray) for value in content.values()):
        inside = [name for name in WRAPPERS if isinstance(content.get(name), dict)]
        if len(inside) > 1:
            raise UserError(f'{path}: holds {" and ".join(inside)}, expected one dictionary of tensors; {ALONE}')
        if inside:
            content = content[inside[0]]
    if not content:
        raise UserError(f'{path}: holds no tensors, expected those of a network; {ALONE}')
    if {'state', 'param_groups'} <= content.keys():
        raise UserError(f"{path}: holds an optimizer's state, expected a dictionary of tensors; {ALONE}")
    other = [
        f'{printable(str(name))} ({_kind(value)})'
        for name, value in content.items()
        if not isinstance(name, str) or not isinstance(value, np.ndarray)
    ]
    if other:
        beside = 'beside its tensors ' if len(other) < len(content) else ''
        raise UserError(f'{path}: holds {beside}{some(other, 20)}, expected tensors by name and nothing else; {ALONE}')
    return content


def _kind(value: object) -> str:
    return 'tensor' if isinstance(value, np.ndarray) else type(value).__name__
