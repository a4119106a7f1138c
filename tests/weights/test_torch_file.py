import io
import pickle
import re
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from torch_writer import ORDERED, Call, Name, Raw, Stored, archive, legacy, operations, program, storage, tensor, whole

from alljax.errors import UserError
from alljax.weights import torch_file

DTYPES = ['float16', 'float32', 'float64', ml_dtypes.bfloat16, 'bool', 'uint8', 'int8', 'int16', 'int32', 'int64']


@pytest.fixture(params=['zip', 'legacy'])
def saved(request, tmp_path):
    """Writes a value and its storages in either format, and reads them back."""

    def save(value, storages, **options):
        write = archive if request.param == 'zip' else legacy
        return torch_file.read(write(tmp_path / 'saved.pth', value, storages, **options))

    return save


def refused(path):
    with pytest.raises(UserError) as error:
        torch_file.read(path)
    assert str(error.value).startswith(f'{path}: ')
    return str(error.value)


@pytest.mark.parametrize('dtype', DTYPES)
def test_every_type_comes_back(saved, dtype):
    array = np.array([[0, 1, 2], [3, 100, 7]]).astype(dtype)
    tensors = saved({'weight': whole('0', array)}, {'0': array})
    assert tensors['weight'].dtype == array.dtype
    np.testing.assert_array_equal(tensors['weight'], array)


def test_views_share_a_storage(saved):
    array = np.arange(12, dtype=np.float32)
    views = {
        'whole': tensor('0', 'float32', 12, (3, 4), (4, 1)),
        'transposed': tensor('0', 'float32', 12, (4, 3), (1, 4)),
        'corner': tensor('0', 'float32', 12, (2, 2), (4, 1), 6),
        'scalar': tensor('0', 'float32', 12, (), (), 11),
        'repeated': tensor('0', 'float32', 12, (5, 2), (0, 1), 3),
        'one': tensor('0', 'float32', 12, (1, 3), (2**62, 1)),
        'empty': tensor('0', 'float32', 12, (0, 3), (3, 1)),
    }
    found = saved(views, {'0': array})
    square = array.reshape(3, 4)
    expected = {
        'whole': square, 'transposed': square.T, 'corner': square[1:, 2:], 'scalar': np.float32(11),
        'repeated': [[3, 4]] * 5, 'one': [[0, 1, 2]], 'empty': np.zeros((0, 3)),
    }  # fmt: skip
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, name)
        assert not found[name].flags.writeable or found[name].size == 0


def test_plain_containers_come_back(saved):
    state = Raw(operations(ORDERED) + operations({'_metadata': {'': {'version': 2}}}) + b'b')
    pairs = Call(Name('collections', 'OrderedDict'), ([['a', 1], ['b', 2.5]],))
    value = {'state': state, 'pairs': pairs, 'rest': [1, -2, 2**40, True, None, 'ä', ('x',)], 3: 4}
    value |= {'size': Call(Name('torch', 'Size'), ((2, 3),)), 'dtype': Name('torch', 'float32')}
    assert saved(value, {}) == {
        'state': {}, 'pairs': {'a': 1, 'b': 2.5}, 'rest': [1, -2, 2**40, True, None, 'ä', ('x',)], 3: 4,
        'size': (2, 3), 'dtype': np.float32,
    }  # fmt: skip


def test_the_strings_of_python_2(saved):
    assert saved(Raw(b'}U\x06weightK\x01s'), {}) == {'weight': 1}


def test_parameters_and_older_and_newer_tensors(saved):
    array = np.arange(4, dtype=np.float32)
    short = Stored(('storage', Name('torch.storage', 'UntypedStorage'), '1', 'cpu', 4))
    old = Call(Name('torch._utils', '_rebuild_tensor'), (storage('0', 'float32', 4), 0, (4,), (1,)))
    new = Call(
        Name('torch._utils', '_rebuild_tensor_v3'), (short, 0, (2,), (1,), False, ORDERED, Name('torch', 'uint16'))
    )
    parameter = Call(Name('torch._utils', '_rebuild_parameter'), (whole('0', array), True, ORDERED))
    stated = Call(Name('torch._utils', '_rebuild_parameter_with_state'), (whole('0', array), True, ORDERED, {'x': 1}))
    value = {'old': old, 'new': new, 'parameter': parameter, 'stated': stated}
    found = saved(value, {'0': array, '1': np.array([1, 2, 3, 255], np.uint8)})
    for name in ('old', 'parameter', 'stated'):
        np.testing.assert_array_equal(found[name], array)
    assert found['new'].tolist() == [513, 65283]
    assert found['new'].dtype == np.uint16


def test_legacy_views_of_storages(tmp_path):
    array = np.arange(10, dtype=np.int64)
    view = tensor('0', 'int64', 10, (2, 2), (2, 1), 1, view=[('7', 3, 5)])
    found = torch_file.read(legacy(tmp_path / 'view.pth', {'view': view}, {'0': array}))
    assert found['view'].tolist() == [[4, 5], [6, 7]]


def test_negated_tensors_are_refused(tmp_path):
    arguments = (storage('0', 'float32', 1), 0, (1,), (1,), False, ORDERED, {'neg': True})
    path = archive(
        tmp_path / 'neg.pth', Call(Name('torch._utils', '_rebuild_tensor_v2'), arguments), {'0': [np.float32(1)]}
    )
    assert 'negated or conjugated' in refused(path)


@pytest.mark.parametrize(
    ('head', 'said'),
    [
        (b'', 'is empty'),
        (b'\n<!DOCTYPE html><html>', 'a web page'),
        (b'<HTML>404', 'a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:12', "git-lfs pointer.*'git lfs pull'"),
        (b'\x10' + bytes(7) + b'{"a":{}}', 'a safetensors file'),
        (b'storages'.ljust(257, b'\0') + b'ustar  \0'.ljust(300, b'\0'), 'a tar archive'),
        (b'\x89HDF\r\n\x1a\n', 'an HDF5 file'),
        (b'\x1f\x8b\x08', 'gunzip'),
        (b'\x93NUMPY\x01', 'a NumPy array'),
        (b'hello', r"no file of torch.save \(it starts with 'hello'\)"),
        (pickle.dumps([1, 2]), 'is a pickle, but not one of torch.save'),
        (b'PK\x03\x04' + bytes(99), 'damaged or truncated'),
        (b'\x80', 'damaged or truncated'),
    ],
)
def test_what_is_no_file_of_torch_is_said(tmp_path, head, said):
    (tmp_path / 'other').write_bytes(head)
    with pytest.raises(UserError, match=said):
        torch_file.read(tmp_path / 'other')


def test_absent_files_folders_and_unreadable_ones(tmp_path):
    assert 'there is no such file' in refused(tmp_path / 'absent')
    assert 'is a folder' in refused(tmp_path)
    assert 'cannot be read' in refused(archive(tmp_path / 'file', {}) / 'below')


def test_other_archives(tmp_path):
    np.savez(tmp_path / 'a.npz', weight=np.zeros(3))
    assert 'holds weight.npy, expected data.pkl' in refused(tmp_path / 'a.npz')
    assert 'TorchScript' in refused(
        archive(tmp_path / 'script.pt', {}, **{'code/__torch__.py': 'x', 'constants.pkl': 'x'})
    )
    assert 'big-endian' in refused(archive(tmp_path / 'big.pt', {}, byteorder='big'))
    assert 'big-endian' in refused(legacy(tmp_path / 'big.pth', {}, little=False))
    assert torch_file.read(archive(tmp_path / 'little.pt', {}, byteorder='little')) == {}


def test_compressed_records_are_refused(tmp_path):
    zeros = np.zeros(10**6, np.float32)
    bomb = archive(tmp_path / 'bomb.pt', {'w': whole('0', zeros)}, {'0': zeros}, method=zipfile.ZIP_DEFLATED)
    assert 'holds archive/data.pkl compressed' in refused(bomb)


@pytest.mark.parametrize(
    ('size', 'place', 'said'),
    [
        (10**9, None, 'ends before its record archive/data/0 does'),
        (200, 0, 'holds archive/data.pkl twice or inside another record|holds archive/data/0 twice or inside'),
        (200, 10**6, 'is damaged or truncated'),
    ],
)
def test_forged_directories_are_refused(tmp_path, size, place, said):
    array = np.arange(50, dtype=np.float32)
    path = archive(tmp_path / 'a.pt', {'w': whole('0', array)}, {'0': array})
    forged = bytearray(path.read_bytes())
    at = forged.rindex(b'PK\x01\x02')
    struct.pack_into('<III', forged, at + 16, 0, size, size)  # no check sum, which would tell
    if place is not None:
        struct.pack_into('<I', forged, at + 42, place)
    path.write_bytes(forged)
    assert re.search(said, refused(path))


def test_a_directory_larger_than_honest_ones_is_not_read(tmp_path):
    path = archive(tmp_path / 'a.pt', {})
    with torch_file._Bounded(path) as file, pytest.raises(zipfile.BadZipFile, match='a directory of 16777217 bytes'):
        file.read(torch_file.SMALL + 1)


def test_a_record_that_comes_twice_is_refused(tmp_path):
    path = archive(tmp_path / 'a.pt', {}, {'0': np.zeros(1)})
    with pytest.warns(UserWarning, match='Duplicate'), zipfile.ZipFile(path, 'a') as file:
        file.writestr('archive/data.pkl', program({'other': 1}))
    assert 'holds archive/data.pkl twice' in refused(path)


@pytest.mark.parametrize('lack', [{}, {'0': np.zeros(3, np.float32)}, {'0': np.zeros(5, np.float32)}])
def test_storages_of_another_size_are_refused(tmp_path, lack):
    value = {'w': tensor('0', 'float32', 4, (3,), (1,))}
    assert 'expected 4 float32' in refused(archive(tmp_path / 'a.pt', value, lack))
    refused(legacy(tmp_path / 'a.pth', value, lack))


def test_a_legacy_storage_is_whole_and_declared_in_one_way(tmp_path):
    array = np.arange(4, dtype=np.float32)
    path = legacy(tmp_path / 'a.pth', {'w': whole('0', array)}, {'0': array})
    path.write_bytes(path.read_bytes()[:-4])
    assert 'is damaged or truncated in its storage 0' in refused(path)
    twice = {'w': whole('0', array), 'v': tensor('0', 'int64', 2, (2,), (1,))}
    assert 'declares storage 0 in two ways' in refused(legacy(path, twice, {'0': array}))


@pytest.fixture(params=[True, False], ids=['zip', 'legacy'])
def by_torch(request, tmp_path):
    """Saves with torch, and reads without."""
    torch = pytest.importorskip('torch')

    def save(value, **options):
        torch.save(value, tmp_path / 'torch.pt', _use_new_zipfile_serialization=request.param, **options)
        return torch_file.read(tmp_path / 'torch.pt')

    return save


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_what_torch_saves(by_torch, protocol):
    torch = pytest.importorskip('torch')
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    kinds = ('float16', 'float64', 'bfloat16', 'bool', 'uint8', 'int8', 'int16', 'int32', 'int64', 'uint16', 'uint64')
    tensors = {kind: torch.arange(5).to(getattr(torch, kind)) for kind in kinds}
    tensors |= {
        'base': base,
        'transposed': base.permute(2, 0, 1),
        'part': base[1, 1:, ::2],
        'expanded': base[:1].expand(3, -1, -1),
        'scalar': torch.tensor(3.5),
        'empty': torch.zeros(0, 3),
        'parameter': torch.nn.Parameter(torch.ones(2, 2).T),
    }
    found = by_torch({**tensors, 'size': base.shape, 'nested': [(1, 'two', None)]}, pickle_protocol=protocol)
    assert found.pop('size') == (2, 3, 4)
    assert found.pop('nested') == [(1, 'two', None)]
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype.name == str(value.dtype).removeprefix('torch.')
        np.testing.assert_array_equal(found[name].astype(np.float64), value.detach().double().numpy(), name)


def test_a_state_dict_of_torch(by_torch):
    torch = pytest.importorskip('torch')
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4))
    found = by_torch(network.state_dict())
    assert list(found) == list(network.state_dict())
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(found[name], value.numpy())


def test_whole_modules_and_odd_tensors_of_torch_are_refused(by_torch):
    torch = pytest.importorskip('torch')
    for value, name in (
        (torch.nn.Linear(2, 2), 'torch.nn.modules.linear.Linear'),
        (torch.ones(2, 2).to_sparse(), 'torch._utils._rebuild_sparse_tensor'),
        (torch.ones(2, dtype=torch.complex64), 'torch.ComplexFloatStorage'),
        ({'best': np.float64(1)}, 'numpy'),
        ({'device': torch.device('cpu')}, 'torch.device'),
    ):
        with pytest.raises(UserError, match=f'holds {name}.*which is not read'):
            by_torch(value)


def test_a_file_without_check_sums(tmp_path):
    torch = pytest.importorskip('torch')
    stream = io.BytesIO()
    torch.serialization.set_crc32_options(False)
    torch.save({'w': torch.ones(3)}, stream)
    torch.serialization.set_crc32_options(True)
    (tmp_path / 'a.pt').write_bytes(stream.getvalue())
    assert torch_file.read(tmp_path / 'a.pt')['w'].tolist() == [1, 1, 1]
