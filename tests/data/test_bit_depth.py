"""Pictures of more than 8 bits a channel, and of other numbers and colors, against the 8-bit values they came from."""

import struct
import zlib
from itertools import product

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from alljax.data import image

Y, X = np.mgrid[:40, :48]
COLOR = np.stack([120 + 80 * np.sin(X / 9), 120 + 80 * np.cos(Y / 7), 130 + 90 * np.sin((X + Y) / 11)], -1)
COLOR = COLOR.round().astype(np.uint8)
OPAQUE = np.full((*COLOR.shape[:2], 1), 255, np.uint8)


def scaled(color, bits):
    """8-bit values in the range of more bits."""
    return np.round(color / 255 * (2**bits - 1)).astype(np.uint16)


def clipped(color, bits):
    """The same with a corner that was too bright for the camera."""
    values = scaled(color, bits)
    values[:4, :4] = 2**bits - 1
    return values


def write_tiff(path, values, planar=False, **options):
    values = np.moveaxis(values, -1, 0) if planar else values
    layout = {'photometric': 'rgb', 'planarconfig': 'separate' if planar else 'contig'}
    tifffile.imwrite(path, np.ascontiguousarray(values), **layout | options)


def png_chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def write_png(path, values, *chunks):
    """A PNG file of 16 bits a channel, which Pillow cannot write."""
    height, width, channels = values.shape
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in values)
    header = struct.pack('>IIBBBBB', width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    parts = [png_chunk(b'IHDR', header), *chunks, png_chunk(b'IDAT', zlib.compress(rows)), png_chunk(b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))


def error_of(picture, color=COLOR):
    return np.abs(picture.pixels.astype(int) - color).max()


@pytest.mark.parametrize('compression', [None, 'lzw', 'deflate', 'packbits', 'zstd'])
@pytest.mark.parametrize('bits', [8, 16])
def test_every_layout_of_a_tiff_gives_its_pixels(tmp_path, bits, compression):
    path = tmp_path / 'a.tif'
    for planar, tile, order, alpha in product((False, True), (None, (16, 16)), '<>', (False, True)):
        values = np.concatenate([COLOR, OPAQUE], -1) if alpha else COLOR
        values = scaled(values, 16) if bits == 16 else values
        options = {'extrasamples': ['unassalpha']} if alpha else {}
        write_tiff(path, values, planar, compression=compression, tile=tile, byteorder=order, **options)
        picture = image.read(path)
        np.testing.assert_array_equal(picture.pixels, COLOR, err_msg=f'{planar} {tile} {order} {alpha}')
        assert ('16 bits' in picture.note) == (bits == 16)
        assert ('RGBA' in picture.note) == alpha


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('compression', [None, 'lzw', 'deflate'])
def test_a_big_tiff_of_eight_bits_gives_its_pixels(tmp_path, order, compression):
    path = tmp_path / 'a.tif'
    for planar, tile in product((False, True), (None, (16, 16))):
        write_tiff(path, COLOR, planar, bigtiff=True, byteorder=order, compression=compression, tile=tile)
        np.testing.assert_array_equal(image.read(path).pixels, COLOR)


def test_a_big_tiff_that_nobody_reads_is_told(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', COLOR[..., 0], bigtiff=True, byteorder='>', photometric='minisblack')
    with pytest.raises(image.ImageError, match='BigTIFF of big-endian'):
        image.read(tmp_path / 'a.tif')


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('layout', ['PNG', 'TIFF'])
def test_a_picture_without_any_opacity_is_refused(tmp_path, bits, layout):
    color = scaled(COLOR, bits).astype(np.uint8 if bits == 8 else np.uint16)
    values = np.concatenate([color, np.zeros_like(color[..., :1])], -1)
    path = tmp_path / f'a.{layout.lower()}'
    if layout == 'PNG':
        path.write_bytes(imagecodecs.png_encode(values))
    else:
        write_tiff(path, values, extrasamples=['unassalpha'])
    with pytest.raises(image.ImageError, match='transparent'):
        image.read(path)


@pytest.mark.parametrize('channels', [1, 2])
def test_sixteen_bits_of_grey_are_refused_with_and_without_opacity(tmp_path, channels):
    values = np.stack([scaled(COLOR[..., 0], 16), np.full(COLOR.shape[:2], 65535, np.uint16)], -1)
    (tmp_path / 'a.png').write_bytes(imagecodecs.png_encode(np.ascontiguousarray(values[..., :channels].squeeze())))
    with pytest.raises(image.ImageError, match='greyscale with 16 bits'):
        image.read(tmp_path / 'a.png')


def test_sixteen_bits_in_a_big_tiff_with_a_predictor_or_turned(tmp_path):
    path, values = tmp_path / 'a.tif', scaled(COLOR, 16)
    for planar in (False, True):
        write_tiff(path, values, planar, bigtiff=True)
        np.testing.assert_array_equal(image.read(path).pixels, COLOR)
        write_tiff(path, values, planar, compression='lzw', predictor=True)
        np.testing.assert_array_equal(image.read(path).pixels, COLOR)
    for orientation in range(1, 9):
        turned = {}
        for bits in (8, 16):  # 8 bits are turned by Pillow
            write_tiff(
                path, values if bits == 16 else COLOR, extratags=[(274, 3, 1, orientation, True)], bitspersample=bits
            )
            turned[bits] = image.read(path).pixels
        np.testing.assert_array_equal(turned[16], turned[8])


@pytest.mark.parametrize('bits', [9, 10, 12, 14])
def test_the_bits_that_a_file_declares_are_its_range(tmp_path, bits):
    tif, png, ppm = tmp_path / 'a.tif', tmp_path / 'a.png', tmp_path / 'a.ppm'
    values = scaled(COLOR // 4, bits)  # dark: the brightest value says nothing
    ome = f'<OME xmlns="x"><Pixels SignificantBits="{bits}"/></OME>'
    for options in ({'extratags': [(281, 3, 3, (2**bits - 1,) * 3, True)]}, {'description': ome, 'metadata': None}):
        write_tiff(tif, values, **options)
        picture = image.read(tif)
        assert error_of(picture, COLOR // 4) <= 1
        assert picture.note == f'only {bits} of 16 bits a channel are used; they were brought to 8'
    write_png(png, values, png_chunk(b'sBIT', bytes([bits] * 3)))
    assert error_of(image.read(png), COLOR // 4) <= 1
    ppm.write_bytes(b'P6\n# a comment\n48 40\n%d\n' % (2**bits - 1) + scaled(COLOR, bits).astype('>u2').tobytes())
    picture = image.read(ppm)
    assert error_of(picture) <= 1
    assert picture.note == f'{bits} bits a channel were reduced to 8'
    ppm.write_text(f'P3 48 40 {2**bits - 1}\n' + ' '.join(map(str, scaled(COLOR, bits).ravel())))
    assert error_of(image.read(ppm)) <= 1


@pytest.mark.parametrize('bits', [10, 12, 14])
def test_packed_bits_are_their_range(tmp_path, bits):
    write_tiff(tmp_path / 'a.tif', scaled(COLOR, bits), bitspersample=bits)
    assert error_of(image.read(tmp_path / 'a.tif')) <= 1


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 15])
def test_a_camera_that_clips_shows_its_bits(tmp_path, bits):
    values = clipped(COLOR, bits)
    write_tiff(tmp_path / 'a.tif', values, planar=True)
    write_png(tmp_path / 'a.png', values)
    for name in ('a.tif', 'a.png'):
        picture = image.read(tmp_path / name)
        assert error_of(picture, clipped(COLOR, 8)) <= 1
        assert f'only {bits} of 16 bits' in picture.note


@pytest.mark.parametrize('most', [3500, 4094, 4095, 9000, 16382, 20000, 32640, 32766])
def test_an_undecidable_range_is_refused(tmp_path, most):
    values = (COLOR.astype(float) / COLOR.max() * most).astype(np.uint16)  # one pixel at most, so it is not clipped
    values[0, 0, 0] = most
    values[values == most] = most - 1
    values[0, 0, 0] = most
    write_tiff(tmp_path / 'a.tif', values)
    write_tiff(tmp_path / 'statistics.tif', values, extratags=[(281, 3, 3, (most - 1,) * 3, True)])  # no camera's range
    write_png(tmp_path / 'a.png', values)
    (tmp_path / 'a.ppm').write_bytes(b'P6 48 40 65535\n' + values.astype('>u2').tobytes())
    for name in ('a.tif', 'statistics.tif', 'a.png', 'a.ppm'):
        with pytest.raises(image.ImageError, match='16 bits a channel but is dark'):
            image.read(tmp_path / name)


def test_all_bits_are_used_where_a_declaration_is_surpassed(tmp_path):
    write_png(tmp_path / 'a.png', scaled(COLOR, 16), png_chunk(b'sBIT', bytes([12] * 3)))  # stretched, as PNG wants it
    write_tiff(tmp_path / 'a.tif', scaled(COLOR, 16), extratags=[(281, 3, 3, (255,) * 3, True)])
    for name in ('a.png', 'a.tif'):
        np.testing.assert_array_equal(image.read(tmp_path / name).pixels, COLOR)


def test_sixteen_bit_png_with_opacity_or_a_transparent_color(tmp_path):
    path, values = tmp_path / 'a.png', scaled(np.concatenate([COLOR, OPAQUE], -1), 16)
    path.write_bytes(imagecodecs.png_encode(values))
    np.testing.assert_array_equal(image.read(path).pixels, COLOR)
    values[3, 3, 3] = 0
    path.write_bytes(imagecodecs.png_encode(values))
    with pytest.raises(image.ImageError, match='transparent'):
        image.read(path)
    write_png(path, values[..., :3], png_chunk(b'tRNS', values[5, 5, :3].astype('>u2').tobytes()))
    with pytest.raises(image.ImageError, match='transparent'):
        image.read(path)


def test_transparency_by_a_color_a_palette_or_beside_grey_is_refused(tmp_path):
    path, picture = tmp_path / 'a.png', Image.fromarray(COLOR)
    for made, options in (
        (picture, {'transparency': tuple(COLOR[5, 5].tolist())}),
        (picture.quantize(16), {'transparency': 3}),
        (Image.merge('LA', [picture.convert('L')] * 2), {}),
    ):
        made.save(path, **options)
        with pytest.raises(image.ImageError, match='transparent'):
            image.read(path)
    picture.save(path, transparency=(1, 2, 3))  # a color that no pixel has
    np.testing.assert_array_equal(image.read(path).pixels, COLOR)
    write_tiff(tmp_path / 'a.tif', scaled(np.concatenate([COLOR, COLOR[..., :1]], -1), 16), extrasamples=['assocalpha'])
    with pytest.raises(image.ImageError, match='transparent'):
        image.read(tmp_path / 'a.tif')


@pytest.mark.parametrize('kind', ['int8', 'int16', 'int32', 'uint32', 'float16', 'float32', 'float64'])
def test_numbers_of_another_kind_are_refused_by_name(tmp_path, kind):
    for photometric, values in (('rgb', COLOR), ('minisblack', COLOR[..., 0])):
        tifffile.imwrite(tmp_path / 'a.tif', values.astype(kind), photometric=photometric)
        with pytest.raises(image.ImageError, match=f'holds {kind} values, expected 8 or 16 unsigned bits'):
            image.read(tmp_path / 'a.tif')


def test_colors_of_another_kind_are_refused_by_name(tmp_path):
    path = tmp_path / 'a.tif'
    palette = np.repeat(np.arange(256, dtype=np.uint16)[None], 3, 0)
    for words, values, options in (
        (r'CIE L\*a\*b\*', COLOR, {'photometric': 'cielab'}),
        (r'CIE L\*a\*b\*', COLOR, {'photometric': 'icclab'}),
        ('palette of 8-bit colors', COLOR[..., 0], {'photometric': 'palette', 'colormap': palette}),
        ('3 channels that it calls grey', COLOR, {'photometric': 'minisblack', 'planarconfig': 'contig'}),
        ('greyscale with 16 bits', scaled(COLOR[..., 0], 16), {'photometric': 'miniswhite'}),
        ('CMYK of 16 bits', scaled(np.stack([COLOR[..., 0]] * 4), 16),
         {'photometric': 'separated', 'planarconfig': 'separate'}),
        ('2 planes of a stack', np.stack([COLOR] * 2), {'photometric': 'rgb', 'volumetric': True, 'tile': (1, 16, 16)}),
    ):  # fmt: skip
        tifffile.imwrite(path, values, **options)
        with pytest.raises(image.ImageError, match=words):
            image.read(path)
    tifffile.imwrite(path, COLOR, photometric='ycbcr')
    assert 'YCbCr' in image.read(path).note
    with tifffile.TiffFile(path, mode='r+b') as tiff:
        tiff.pages.first.tags[530].overwrite((2, 2))
    with pytest.raises(image.ImageError, match='YCbCr with coarser colors'):
        image.read(path)
    tifffile.imwrite(path, 255 - COLOR[..., 0], photometric='miniswhite')
    np.testing.assert_array_equal(image.read(path).pixels, np.repeat(COLOR[..., :1], 3, 2))
    write_tiff(path, np.concatenate([COLOR, COLOR[..., :1]], -1), extrasamples=['unspecified'])
    picture = image.read(path)
    np.testing.assert_array_equal(picture.pixels, COLOR)
    assert picture.note == '1 channel beside red, green and blue left out'


@pytest.mark.parametrize('keep', [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_of_16_bits_is_refused(tmp_path, keep):
    for name, options in (('a.tif', {}), ('b.tif', {'compression': 'lzw'}), ('c.tif', {'tile': (16, 16)})):
        write_tiff(tmp_path / name, scaled(COLOR, 16), planar=True, **options)
    write_png(tmp_path / 'd.png', scaled(COLOR, 16))
    for name in ('a.tif', 'b.tif', 'c.tif', 'd.png'):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(image.ImageError, match='damaged or truncated'):
            image.read(tmp_path / name)
