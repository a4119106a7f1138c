"""Pickles of NumPy arrays: what is read of them, and those that want to run, import or fill what is not theirs."""

import contextlib
import os
import pickle
import time
import tracemalloc

import numpy as np
import pytest

from alljax.errors import UserError
from alljax.weights import numpy_pickle


def written(tmp_path, content):
    path = tmp_path / 'arrays.ckpt'
    path.write_bytes(content)
    return path


class Reduced:
    """Pickles itself as a call, or as a thing with a state."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [3, 4])
def test_arrays_in_dictionaries_are_read(tmp_path, protocol):
    rng = np.random.default_rng(0)
    arrays = {
        'Conv_0': {'kernel': rng.normal(size=(3, 2, 1, 4)).astype(np.float32), 'bias': np.zeros(4, np.float64)},
        'by columns': np.asfortranarray(rng.normal(size=(2, 3))),
        'counts': np.arange(3),
        'none of them': np.zeros((2, 0), np.float16),
        'step': 7,
    }
    found = numpy_pickle.read(written(tmp_path, pickle.dumps(arrays, protocol)))
    assert found['step'] == 7
    for mine, theirs in ((found, arrays), (found['Conv_0'], arrays['Conv_0'])):
        assert mine.keys() == theirs.keys()
        for name, array in theirs.items():
            if isinstance(array, np.ndarray):
                assert mine[name].dtype == array.dtype
                np.testing.assert_array_equal(mine[name], array)


def test_arrays_as_numpy_1_pickled_them_are_read(tmp_path):
    content = pickle.dumps({'bias': np.ones(3, np.float32)}, 3).replace(b'numpy._core.', b'numpy.core.')
    np.testing.assert_array_equal(numpy_pickle.read(written(tmp_path, content))['bias'], np.ones(3, np.float32))


@pytest.mark.parametrize('function', [os.system, os.mkdir, eval, exec, __import__, getattr, bytearray, np.frombuffer])
def test_a_call_is_refused_by_name_and_does_not_happen(tmp_path, function):
    made = tmp_path / 'made'
    argument = {os.system: f'mkdir {made}', os.mkdir: str(made)}.get(function, f'__import__("os").mkdir({str(made)!r})')
    content = pickle.dumps({'kernel': Reduced(function, argument)}, 4)
    with pytest.raises(UserError, match=r'which is not read: only arrays of numbers in dictionaries are; save plain'):
        numpy_pickle.read(written(tmp_path, content))
    assert not made.exists()


RECONSTRUCT, ARRAY = np.ndarray((0,)).__reduce__()[:2]
FLOATS = np.dtype('f4')


@pytest.mark.parametrize(
    ('thing', 'said'),
    [
        (np.array([print], object), "array of 'O8', expected numbers|array of O8, expected numbers"),
        (np.array(['a']), 'array of U1, expected numbers'),
        (np.zeros(2, [('a', 'f4')]), 'array of V4, expected numbers'),
        (np.zeros(2, '>f4'), 'sets attributes of a .* in an unknown way'),
        (Reduced(RECONSTRUCT, str, (0,), b'b'), 'not read: only arrays'),
        (Reduced(RECONSTRUCT, *ARRAY, state=(1, (4,), FLOATS, False, bytes(12))), '12 bytes of an array of shape'),
        (Reduced(RECONSTRUCT, *ARRAY, state=(1, (-4,), FLOATS, False, bytes(16))), 'an array of shape'),
        (Reduced(RECONSTRUCT, *ARRAY, state=(1, (2**62, 4), FLOATS, False, b'')), '0 bytes of an array'),
        (Reduced(RECONSTRUCT, *ARRAY, state=(1, (1,) * 99, FLOATS, False, bytes(4))), 'an array of shape'),
        (Reduced(RECONSTRUCT, *ARRAY, state=(1, (1,), FLOATS, False, [None])), 'in an unknown way'),
        (Reduced(RECONSTRUCT, *ARRAY, state={'shape': 1}), 'in an unknown way'),
        ({1.5: 2}, 'holds a float as the key'),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path, thing, said):
    with pytest.raises(UserError, match=said):
        numpy_pickle.read(written(tmp_path, pickle.dumps({'kernel': thing}, 4)))


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'', 'has 0 bytes'),
        (b'hello', "is no pickle of arrays .it starts with 'hello'"),
        (pickle.dumps({'a': np.ones(9)})[:-20], 'is damaged or truncated'),
        (b'\x80\x04B\xff\xff\xff\x7fx.', 'is damaged or truncated'),
        (b'\x80\x04' + b']' * 100_001 + b'.', 'takes more than 100000 operations'),
        (b'\x80\x04P1\n.', 'uses the pickle operation PERSID'),
    ],
)
def test_damaged_and_hostile_files_end_soon_in_little_memory(tmp_path, content, said):
    path = written(tmp_path, content)
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(UserError, match=said):
        numpy_pickle.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 10
    assert peak < 50e6


def test_any_damaged_byte_ends_in_a_sentence_or_in_other_numbers(tmp_path):
    content = pickle.dumps({'a': {'kernel': np.ones((2, 3), np.float32)}}, 3)
    path = tmp_path / 'arrays.ckpt'
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(UserError):
            numpy_pickle.read(path)
