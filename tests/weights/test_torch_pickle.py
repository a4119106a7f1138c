"""Pickles that want to run, import, read or fill what is not theirs."""

import contextlib
import io
import os
import pickle
import re
import time
import tracemalloc

import numpy as np
import pytest
from torch_writer import ORDERED, Call, Name, Raw, archive, legacy, operations, program, storage, tensor

from alljax.errors import UserError
from alljax.weights import file_errors, torch_file, torch_pickle

REBUILD = Name('torch._utils', '_rebuild_tensor_v2')


@pytest.fixture(params=['zip', 'legacy'])
def refusal(request, tmp_path):
    """Writes a pickle into a file of either format, and returns what is said against it."""

    def refuse(value) -> str:
        path = tmp_path / 'hostile.pth'
        if request.param == 'zip':
            archive(path, value, {'0': np.zeros(4, np.float32)})
        else:
            legacy(path, value, {'0': np.zeros(4, np.float32)})
        with pytest.raises(UserError) as error:
            torch_file.read(path)
        assert str(error.value).startswith(str(path))
        return str(error.value)

    return refuse


class Reduced:
    """Pickles itself as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('function', [os.system, os.mkdir, eval, exec, __import__, getattr, np.dtype, bytearray])
def test_a_call_is_refused_by_name_and_does_not_happen(refusal, tmp_path, function, protocol):
    made = tmp_path / 'made'
    argument = {os.system: f'mkdir {made}', os.mkdir: str(made)}.get(function, f'__import__("os").mkdir({str(made)!r})')
    said = refusal(pickle.dumps({'weight': Reduced(function, argument)}, protocol))
    module = '__builtin__' if function.__module__ == 'builtins' and protocol == 2 else function.__module__
    assert f'holds {module}.{function.__name__}, which is not read: only tensors and plain containers are' in said
    assert 'torch.save(model.state_dict()' in said
    assert not made.exists()


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        ('torch._utils', 'os.system'),
        ('torch', '_utils._rebuild_tensor_v2'),
        ('torch.serialization', 'os.system'),
        ('torch', 'load'),
        ('collections', 'OrderedDict.__init__'),
        ('collections', 'defaultdict'),
        ('torch.nn.modules.container', 'Sequential'),
        ('__main__', 'Network'),
        ('numpy.core.multiarray', '_reconstruct'),
        ('numpy._core.multiarray', 'scalar'),
        ('alljax.weights.torch_pickle', '_put'),
        ('torch', 'QUInt8Storage'),
        ('torch', 'ComplexFloatStorage'),
        ('torch._utils', '_rebuild_sparse_tensor'),
    ],
)
def test_any_other_name_is_refused(refusal, module, name):
    stacked = operations(module) + operations(name) + b'\x93'
    for value in (Name(module, name), Raw(stacked)):
        assert f'holds {module}.{name}, which is not read' in refusal({'weight': value})


def test_names_cannot_write_to_the_terminal(refusal):
    said = refusal(Name('evil\x1b[2J', 'x' * 1000))
    assert '\x1b' not in said
    assert len(said) < 500


def test_a_whole_module_is_refused_by_name(refusal):
    assert 'holds tests.weights.test_torch_pickle.Reduced' in refusal(b'\x80\x02' + operations(Raw(
        b'ctests.weights.test_torch_pickle\nReduced\n)\x81}X\x04\x00\x00\x00evil\x88sb')) + b'.')  # fmt: skip


WEIGHT = tensor('0', 'float32', 4, (4,), (1,))
FORGED_STATE = (None, {'__code__': 1, '__class__': 2, '__defaults__': (1,)})


@pytest.mark.parametrize(
    ('value', 'said'),
    [
        (Raw(operations(REBUILD) + operations(FORGED_STATE) + b'b'), 'sets attributes of a function'),
        (
            Raw(operations(Name('torch', 'FloatStorage')) + operations((3, '<')) + b'b'),
            'sets attributes of a Float32DType',
        ),
        (Raw(operations(WEIGHT) + operations((1, (9**9,), 0, False, 'x')) + b'b'), 'sets attributes of a'),
        (Raw(operations(WEIGHT) + operations(0) + operations(1) + b's'), 'holds a int as the key of a'),
        (Raw(operations(['x']) + operations(0) + operations(1) + b's'), 'holds a int as the key of a list'),
        (Call({}, ()), 'calls a dict'),
        (Call(WEIGHT, ()), 'calls a'),
        (Call(Name('torch', 'FloatStorage'), (4,)), 'calls a Float32DType'),
        (Raw(operations(REBUILD) + operations([1]) + b'R'), 'calls a function'),
        (Call(Name('torch', 'Size'), ([1],)), 'torch.Size of a list'),
        (Raw(b'(i__main__\nevil\n'), 'pickle operation INST'),
        (Raw(b'(cos\nsystem\no'), 'holds os.system'),
        (Raw(operations(REBUILD) + b')\x81'), 'pickle operation NEWOBJ'),
        (Raw(b'\x82\x01'), 'pickle operation EXT1'),
        (Raw(b'\x83\x01\x00'), 'pickle operation EXT2'),
        (Raw(b'P1\n'), 'pickle operation PERSID'),
        (Raw(b'\x8f'), 'pickle operation EMPTY_SET'),
        (Raw(b'N2'), 'pickle operation DUP'),
        (Raw(b'\x8b\x00\x00\x00\x40'), 'pickle operation LONG4'),
        (Raw(b'I' + b'9' * 9999 + b'\n'), 'pickle operation INT'),
        (Raw(b'\x96' + b'\xff' * 7 + b'\x0f'), 'pickle operation BYTEARRAY8'),
        (Raw(b'\xff'), 'no operation of a pickle'),
        ({(1, 2): 3}, 'holds a tuple as the key of a dict'),
        ({2**80: 3}, 'holds a int as the key'),
    ],
)
def test_what_is_no_plain_value_is_refused(refusal, value, said):
    assert re.search(said, refusal(value))


def test_nothing_is_left_changed_by_forged_states(refusal):
    before = torch_pickle._tensor_v2.__code__, torch_pickle._tensor_v2.__defaults__, np.dtype(np.float32).str
    refusal(Raw(operations(REBUILD) + operations(FORGED_STATE) + b'b'))
    refusal(Raw(operations(Name('torch', 'FloatStorage')) + operations((3, '>')) + b'b'))
    assert before == (
        torch_pickle._tensor_v2.__code__, torch_pickle._tensor_v2.__defaults__, np.dtype(np.float32).str)  # fmt: skip


@pytest.mark.parametrize(
    ('size', 'stride', 'offset', 'said'),
    [
        ((5,), (1,), 0, 'reaches out'),
        ((4,), (1,), 1, 'reaches out'),
        ((2, 2), (3, 1), 0, 'reaches out'),
        ((2,), (2**62,), 0, 'reaches out'),
        ((2**62,), (1,), 0, 'reaches out'),
        ((), (), 4, 'reaches out'),
        ((), (), 2**70, 'reaches out'),
        ((0,), (1,), -1, 'no counts'),
        ((2,), (-1,), 3, 'no counts'),
        ((-2,), (1,), 0, 'no counts'),
        ((4.0,), (1,), 0, 'no counts'),
        ((True,), (1,), 0, 'no counts'),
        ((4,), (1, 1), 0, '1 sizes and 2 strides'),
        ((0, 2**62, 2**62), (1, 1, 1), 0, 'damaged'),
        ((1,) * 99, (1,) * 99, 0, 'damaged'),
        ('4', '1', 0, 'no counts'),
        (None, None, None, 'damaged'),
    ],
)
def test_no_tensor_reads_outside_its_storage(refusal, size, stride, offset, said):
    assert said in refusal({'weight': tensor('0', 'float32', 4, size, stride, offset)})


def test_no_tensor_can_stand_in_for_a_storage(refusal):
    wide = tensor('0', 'float32', 4, (1000,), (0,))
    call = Call(REBUILD, (wide, 0, (1000,), (1,), False, ORDERED))
    assert re.search('a tensor over a (ndarray|NoneType), expected a storage', refusal({'weight': call}))
    dtype = Call(Name('torch._utils', '_rebuild_tensor_v3'),
                 (storage('0', 'float32', 4), 0, (1,), (1,), False, ORDERED, 'O'))  # fmt: skip
    assert 'without a type' in refusal({'weight': dtype})


@pytest.mark.parametrize('view', [(1, 0, 5), (1, 2, 3), (1, -1, 2), (1, 0), 5])
def test_no_view_of_a_storage_reaches_outside(refusal, view):
    refusal({'weight': tensor('0', 'float32', 4, (1,), (1,), view=[view])})


@pytest.mark.parametrize('pid', [(), ('storage',), ('module', 1, 2, 3), ('storage', 1, '0', 'cpu', 4), (1,) * 5])
def test_other_persistent_ids_are_refused(refusal, pid):
    assert 'names a storage in an unknown way' in refusal({'weight': Raw(operations(pid) + b'Q')})


MANY = 3000
PAIRS = b'](' + b''.join(operations((number, None)) for number in range(MANY)) + b'e\x85q\x02'
DICTS = operations(Name('collections', 'OrderedDict')) + b'q\x01' + PAIRS + b'h\x01h\x02R' * MANY
BOMBS = {
    'forged index': b'Nr\xff\xff\xff\x7f',
    'nested tuples': b')' + b'\x85' * 200_000,
    'nested lists': b']' * 200_000 + b'a' * 199_999,
    'doubling': b'N' + b'q\x00h\x00\x86' * 100_000,
    'hash of a doubling': b'}N' + b'q\x00h\x00\x86' * 1000 + b'Ns',
    'hash of nested tuples': b'})' + b'\x85' * 200_000 + b'Ns',
    'one list, many dicts': b'(' + DICTS + b't',
    'marks': b'(' * 200_000,
    'frame': b'\x95' + b'\xff' * 7 + b'\x7f',
    'string': b'X\xff\xff\xff\xffx',
}


@pytest.mark.parametrize('name', BOMBS)
def test_bombs_end_soon_in_little_memory(name):
    tracemalloc.start()
    start = time.monotonic()
    with contextlib.suppress(*file_errors.DAMAGE):
        torch_pickle.load(io.BytesIO(b'\x80\x02' + BOMBS[name] + b'.'), lambda *_: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - start < 10
    assert peak < 100e6


def test_a_huge_pickle_is_refused_unread(tmp_path):
    archive(tmp_path / 'huge.pth', program('x' * torch_file.SMALL))
    with pytest.raises(UserError, match=r'describes its tensors in \d+ bytes, expected no more than'):
        torch_file.read(tmp_path / 'huge.pth')
