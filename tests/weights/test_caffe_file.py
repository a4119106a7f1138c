import contextlib

import numpy as np
import pytest
from caffe_writer import blob, content, integer, layer, old_layer, varint, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alljax.errors import UserError
from alljax.weights import caffe_file

QUICK = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RNG = np.random.default_rng(0)
KERNEL, BIAS = RNG.normal(size=(4, 3, 2, 2)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
DENSE = RNG.normal(size=(5, 6)).astype(np.float32)
ARRAYS = {'conv1.weight': KERNEL, 'conv1.bias': BIAS, 'fc.weight': DENSE, 'fc.bias': BIAS}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def today(path, **options):
    return write(
        path,
        layer('conv1', 'Convolution', blob(KERNEL, **options), blob(BIAS, **options)),
        layer('relu1', 'ReLU'),
        layer('fc', 'InnerProduct', blob(DENSE, **options), blob(BIAS, **options)),
    )


def of_2014(path):
    return write(
        path,
        old_layer('conv1', 'CONVOLUTION', blob(KERNEL, old=True), blob(BIAS, old=True)),
        old_layer('relu1', 'RELU'),
        old_layer('fc', 'INNER_PRODUCT', blob(DENSE, old=True), blob(BIAS, old=True)),
    )


@pytest.mark.parametrize('options', [{}, {'old': True}, {'parts': 3}])
def test_layers_of_today(tmp_path, options):
    same(caffe_file.read(today(tmp_path / 'a', **options)), ARRAYS)


def test_layers_of_2014(tmp_path):
    same(caffe_file.read(of_2014(tmp_path / 'a')), ARRAYS)


def test_double_data(tmp_path):
    path = write(tmp_path / 'a', layer('fc', 'InnerProduct', blob(DENSE.astype(np.float64), parts=2)))
    same(caffe_file.read(path), {'fc.weight': DENSE.astype(np.float64)})


def test_axes_of_one_go_from_dense_layers_and_biases_only(tmp_path):
    one = np.ones((1, 1, 1, 3), np.float32)
    path = write(
        tmp_path / 'a',
        layer('a', 'Convolution', blob(one), blob(one)),
        layer('b', 'InnerProduct', blob(one), blob(one[..., :1])),
        layer('c', 'BatchNorm', blob(BIAS), blob(BIAS), blob(np.ones(1, np.float32))),
    )
    shapes = {name: array.shape for name, array in caffe_file.read(path).items()}
    assert shapes == {
        'a.weight': (1, 1, 1, 3), 'a.bias': (3,), 'b.weight': (1, 3), 'b.bias': (1,),
        'c.weight': (4,), 'c.bias': (4,), 'c.2': (1,),
    }  # fmt: skip


def test_a_schema_of_protobuf_s_own_writes_the_same(tmp_path):
    """The bytes above, against protobuf's encoder with the declaration of caffe.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    def field(name, number, kind, label=1, **options):
        packed = {'options': {'packed': True}} if label == 3 and kind != 11 else {}
        return {'name': name, 'number': number, 'type': kind, 'label': label, **packed, **options}

    file = descriptor_pb2.FileDescriptorProto(
        name='theirs.proto',
        message_type=[
            {'name': 'BlobShape', 'field': [field('dim', 1, 3, 3)]},
            {'name': 'BlobProto', 'field': [field('data', 5, 2, 3), field('shape', 7, 11, type_name='BlobShape')]},
            {
                'name': 'LayerParameter',
                'field': [field('name', 1, 9), field('type', 2, 9), field('blobs', 7, 11, 3, type_name='BlobProto')],
            },
            {'name': 'NetParameter', 'field': [field('layer', 100, 11, 3, type_name='LayerParameter')]},
        ],
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    net = message_factory.GetMessageClass(pool.FindMessageTypeByName('NetParameter'))(
        layer=[
            {
                'name': name,
                'type': 'Convolution',
                'blobs': [{'data': array.ravel().tolist(), 'shape': {'dim': array.shape}} for array in (KERNEL, BIAS)],
            }
            for name in ('conv1', 'conv2')
        ]
    )
    (tmp_path / 'a').write_bytes(net.SerializeToString())
    same(
        caffe_file.read(tmp_path / 'a'),
        {
            f'{name}.{part}': array
            for name in ('conv1', 'conv2')
            for part, array in (('weight', KERNEL), ('bias', BIAS))
        },
    )


def refused(path):
    with pytest.raises(UserError) as error:
        caffe_file.read(path)
    said = str(error.value)
    assert said.startswith(f'{path}: ')
    assert '; ' in said
    return said


@pytest.mark.parametrize(
    ('raw', 'said'),
    [
        (b'', 'has 0 bytes'),
        (
            b'<!doctype html><html>Not found</html>',
            r"or no .caffemodel \(it starts with '<!doctype html><'\); get it again",
        ),
        (b'PK\x03\x04' + bytes(60), 'or no .caffemodel'),
        (b'name: "AlexNet"\nlayer {\n}\n', 'or no .caffemodel'),
        (content(1, 'AlexNet'), 'holds no layers with weights'),
        (layer('relu', 'ReLU'), 'holds no layers with weights'),
        (layer('a', 'b', blob(BIAS)) * 2, 'holds a.weight twice'),
        (layer('a', 'b', blob(BIAS, shape=(5,))), r'holds 16 bytes of a.weight, expected float32 of shape \(5,\)'),
        (layer('a', 'b', blob(BIAS, shape=(2**62, 4))), 'holds 16 bytes of a.weight'),
        (layer('a', 'b', blob(BIAS, shape=(-2, -2))), 'holds 16 bytes of a.weight'),
        (layer('a', 'b', blob(BIAS[:0], shape=(0, 2**62))), 'holds 0 bytes of a.weight'),
        (layer('a', 'b', blob(BIAS[:1], shape=(1,) * 99)), 'holds 4 bytes of a.weight'),
        (layer('a', 'b', content(5, bytes(15)) + integer(4, 1)), 'holds 15 bytes of a.weight'),
        (layer('a', 'b', b''), r'holds 0 bytes of a.weight, expected float32 of shape \(0, 0, 0, 0\)'),
        (content(100, content(1, b'\xff\x1b[2J') + content(7, b'')), r'holds 0 bytes of \\ufffd\\x1b\[2J.weight'),
        (varint(2 << 3 | 2) + varint(2**40) + b'short', 'is damaged or truncated'),
        (content(100, content(7, content(7, content(1, b'\xff' * 11)))), 'is damaged or truncated'),
        (varint(2 << 3 | 3) * 1000, 'is damaged or truncated'),
    ],
)
def test_what_is_no_caffe_file_is_said(tmp_path, raw, said):
    (tmp_path / 'a').write_bytes(raw)
    with pytest.raises(UserError, match=said):
        caffe_file.read(tmp_path / 'a')
    refused(tmp_path / 'a')


def test_absent_and_huge_files_and_folders_are_refused(tmp_path):
    assert 'no such file' in refused(tmp_path / 'absent')
    assert 'is a folder' in refused(tmp_path)
    with (tmp_path / 'huge').open('wb') as file:
        file.truncate(2**31)
    assert 'has 2147483648 bytes' in refused(tmp_path / 'huge')


@pytest.mark.parametrize('make', [today, of_2014])
def test_a_file_cut_anywhere_is_refused_or_lacks_whole_layers(tmp_path, make):
    path = make(tmp_path / 'cut')
    intact = path.read_bytes()
    cuts = 0
    for length in range(len(intact)):
        path.write_bytes(intact[:length])
        try:
            found = caffe_file.read(path)
        except UserError:
            cuts += 1
        else:
            same(found, {name: ARRAYS[name] for name in ('conv1.weight', 'conv1.bias')})
    assert cuts >= len(intact) - 2  # the two ends of layers


@QUICK
@given(data=st.data())
def test_flipped_bytes_give_tensors_or_a_sentence(tmp_path, data):
    path = today(tmp_path / 'flipped')
    flipped = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(flipped) - 1), min_size=1, max_size=3)):
        flipped[at] = data.draw(st.integers(0, 255))
    path.write_bytes(flipped)
    with contextlib.suppress(UserError):
        caffe_file.read(path)


@QUICK
@given(raw=st.binary(max_size=60))
def test_any_bytes_end_in_tensors_or_a_sentence(tmp_path, raw):
    (tmp_path / 'random').write_bytes(raw)
    with contextlib.suppress(UserError):
        caffe_file.read(tmp_path / 'random')
