"""Damaged files: whatever the bytes, a reader ends in the right tensors or in a sentence."""

import contextlib

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_writer import Name, archive, legacy, operations, storage, tensor, whole

from alljax.errors import UserError
from alljax.weights import tensor_files

QUICK = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors'])


def example(path, kind):
    """A small network's file and its tensors."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=size).astype(np.float32) for name, size in (('w', (3, 4)), ('b', (3,)))}
    if kind == 'safetensors':
        safetensors.numpy.save_file(arrays, path)
    else:
        value = {name: whole(str(n), array) for n, (name, array) in enumerate(arrays.items())}
        write = archive if kind == 'zip' else legacy
        write(path, value, {str(n): array for n, array in enumerate(arrays.values())})
    return path.read_bytes(), arrays


@KINDS
def test_a_file_cut_anywhere_is_refused(tmp_path, kind):
    path = tmp_path / 'cut'
    intact, _ = example(path, kind)
    for length in range(len(intact)):
        path.write_bytes(intact[:length])
        with pytest.raises(UserError):
            tensor_files.read(path)


@KINDS
@QUICK
@given(data=st.data())
def test_flipped_bytes_give_the_right_tensors_or_a_sentence(tmp_path, kind, data):
    path = tmp_path / 'flipped'
    intact, arrays = example(path, kind)
    flipped = bytearray(intact)
    for at in data.draw(st.lists(st.integers(0, len(intact) - 1), min_size=1, max_size=3)):
        flipped[at] = data.draw(st.integers(0, 255))
    path.write_bytes(flipped)
    try:
        found = tensor_files.read(path)
    except UserError:
        return
    if kind == 'zip':  # the others have no check sums
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())


PARTS = [
    *(bytes([code]) for code in range(256)),
    *(bytes(code, 'latin-1') for code in '(tRbusae]}'),
    *(b'q\x00', b'h\x00', b'K\x01', b'\x85', b'\x86', b'X\x01\x00\x00\x00x'),
    operations(Name('collections', 'OrderedDict')),
    operations(Name('torch', 'FloatStorage')),
    operations(storage('0', 'float32', 4)),
    operations(tensor('0', 'float32', 4, (2, 2), (2, 1))),
]


@QUICK
@given(parts=st.lists(st.sampled_from(PARTS), max_size=30))
def test_any_pickle_ends_in_tensors_or_a_sentence(tmp_path, parts):
    path = tmp_path / 'random'
    for write in (archive, legacy):
        write(path, b'\x80\x02' + b''.join(parts) + b'.', {'0': np.zeros(4, np.float32)})
        with contextlib.suppress(UserError):
            tensor_files.read(path)
