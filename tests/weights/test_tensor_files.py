import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from torch_writer import ORDERED, archive, legacy, tensor, whole

from alljax.errors import UserError
from alljax.weights import tensor_files

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
WEIGHT = whole('0', ARRAY)
STORAGES = {'0': ARRAY}


@pytest.fixture(params=[archive, legacy], ids=['zip', 'legacy'])
def saved(request, tmp_path):
    """Writes a value over one storage of 6 numbers in either format, and reads its tensors back."""

    def save(value):
        used = STORAGES if 'FloatStorage' in repr(value) else {}
        return tensor_files.read(request.param(tmp_path / 'saved.pth', value, used))

    return save


def refused(saved, value):
    with pytest.raises(UserError) as error:
        saved(value)
    assert 'saved.pth: ' in str(error.value)
    return str(error.value)


def test_a_state_dict(saved):
    found = saved({'features.weight': WEIGHT, 'bias': WEIGHT})
    assert list(found) == ['features.weight', 'bias']
    np.testing.assert_array_equal(found['bias'], ARRAY)


@pytest.mark.parametrize('wrapper', ['state_dict', 'model', 'model_state_dict', 'net', 'weights', 'encoder'])
def test_a_checkpoint_gives_the_tensors_of_its_dictionaries(saved, wrapper):
    optimizer = {'state': {0: {'momentum_buffer': WEIGHT}}, 'param_groups': [{'lr': 0.1}]}
    found = saved({'epoch': 3, wrapper: {'weight': WEIGHT}, 'optimizer': optimizer, 'best': None})
    assert list(found) == [f'{wrapper}.weight']


def test_what_is_no_tensor_is_left_out(saved):
    assert list(saved({'a': WEIGHT, 'epoch': 1, 'loss': [1.5], 'ema': {'module': {'a': WEIGHT}}})) == [
        'a',
        'ema.module.a',
    ]


def test_one_name_twice_is_refused(saved):
    assert 'holds a.b twice' in refused(saved, {'a.b': WEIGHT, 'a': {'b': WEIGHT}})


def test_arrays_of_numpy(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / 'any.npz', **{'conv.weight': ARRAY, 'model/bias': ARRAY[0]})
        found = tensor_files.read(tmp_path / 'any.npz')
        assert list(found) == ['conv.weight', 'model.bias']
        np.testing.assert_array_equal(found['conv.weight'], ARRAY)


def test_arrays_of_numpy_that_are_objects_bombs_or_cut_are_refused(tmp_path):
    path = tmp_path / 'a.npz'
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(UserError, match=r'a.npz: holds an array that cannot be read .*pickle.*plain arrays'):
        tensor_files.read(path)
    np.savez_compressed(path, a=np.zeros(2**26 // 8 + 2**20))
    with pytest.raises(UserError, match=r'a.npz: unpacks to \d+ bytes from \d+'):
        tensor_files.read(path)
    np.savez(path, a=ARRAY)
    raw = bytearray(path.read_bytes())
    raw[raw.index(ARRAY.tobytes()) + 5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r'a.npz: holds an array that cannot be read .*CRC'):
        tensor_files.read(path)


@pytest.mark.parametrize(
    ('value', 'said'),
    [
        (WEIGHT, 'holds one tensor, expected a dictionary of tensors'),
        ([WEIGHT], 'holds one list, expected'),
        (None, 'holds one NoneType'),
        ({}, 'holds no tensors'),
        (ORDERED, 'holds no tensors'),
        ({'state_dict': {}}, 'holds no tensors'),
        ({'state': {}, 'param_groups': []}, "holds an optimizer's state"),
        ({'model': {'state': {}, 'param_groups': []}}, "holds an optimizer's state"),
        ({'encoder': {}, 'epoch': 1}, r'holds encoder \(dict\), epoch \(int\), expected tensors by name'),
        ({0: WEIGHT}, r'holds 0 \(tensor\), expected tensors by name'),
        ({f'n{n}': n for n in range(30)}, r'n19 \(int\) and 10 more'),
        ({'a': tensor('0', 'float32', 6, (2**40,), (0,))}, r'declares tensors of 4398046511104 bytes but has \d+'),
        ({'\x1b[2J\n': 1}, r'holds \\x1b\[2J\\n \(int\)'),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_said(saved, value, said):
    with pytest.raises(UserError, match=said):
        saved(value)


def test_every_sentence_names_the_remedy(saved):
    for value in (WEIGHT, {}, {'epoch': 1}, {'state': {}, 'param_groups': []}):
        assert 'torch.save(model.state_dict()' in refused(saved, value)


def test_safetensors(tmp_path):
    tensors = {'module.a': ARRAY, 'module.b': np.zeros(3, np.int64), 'module.c': np.array(True)}
    safetensors.numpy.save_file(tensors, tmp_path / 'any.name', {'format': 'pt'})
    found = tensor_files.read(tmp_path / 'any.name')
    assert found.keys() == tensors.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, tensors[name])


def write_safetensors(path, dtype, size, count):
    header = json.dumps({'w': {'dtype': dtype, 'shape': size, 'data_offsets': [0, count]}}).encode()
    path.write_bytes(struct.pack('<Q', len(header)) + header + bytes(count))
    return path


def test_bfloat16_of_safetensors(tmp_path):
    found = tensor_files.read(write_safetensors(tmp_path / 'a', 'BF16', [2, 2], 8))
    assert found['w'].dtype == ml_dtypes.bfloat16
    assert found['w'].shape == (2, 2)


@pytest.mark.parametrize(('dtype', 'size', 'count'), [('F32', [2**62, 4], 16), ('F32', [3], 8), ('F8_E4M3', [2], 2)])
def test_odd_safetensors_are_refused(tmp_path, dtype, size, count):
    with pytest.raises(UserError, match='no whole safetensors file'):
        tensor_files.read(write_safetensors(tmp_path / 'a', dtype, size, count))


def test_safetensors_without_tensors_are_refused(tmp_path):
    safetensors.numpy.save_file({}, tmp_path / 'a')
    with pytest.raises(UserError, match='holds no tensors'):
        tensor_files.read(tmp_path / 'a')


def test_absent_files_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match='no such file'):
        tensor_files.read(tmp_path / 'absent.pth')
    with pytest.raises(UserError, match='is a folder'):
        tensor_files.read(tmp_path)
