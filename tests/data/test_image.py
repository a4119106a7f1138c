import numpy as np
import pytest
from PIL import Image

from alljax.data import image


@pytest.fixture
def color():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def test_rgb_is_read_as_it_is(tmp_path, color):
    Image.fromarray(color).save(tmp_path / 'a.tif')
    picture = image.read(tmp_path / 'a.tif')
    np.testing.assert_array_equal(picture.pixels, color)
    assert picture.note == ''
    assert not picture.grey


def test_palette_and_opaque_rgba_are_converted_with_a_note(tmp_path, color):
    Image.fromarray(color).quantize(16).save(tmp_path / 'p.png')
    Image.fromarray(color).convert('RGBA').save(tmp_path / 'a.png')
    assert 'palette' in image.read(tmp_path / 'p.png').note
    rgba = image.read(tmp_path / 'a.png')
    assert 'RGBA' in rgba.note
    np.testing.assert_array_equal(rgba.pixels, color)


def test_cmyk_is_converted_with_a_note(tmp_path, color):
    Image.fromarray(color).convert('CMYK').save(tmp_path / 'c.tif')
    picture = image.read(tmp_path / 'c.tif')
    assert 'CMYK' in picture.note
    assert np.abs(picture.pixels.astype(int) - color).mean() < 3


def test_greyscale_is_marked_grey(tmp_path, color):
    Image.fromarray(color[..., 0]).save(tmp_path / 'g.tif')
    Image.fromarray(np.repeat(color[..., :1], 3, 2)).save(tmp_path / 'g3.tif')
    assert image.read(tmp_path / 'g.tif').grey
    assert image.read(tmp_path / 'g3.tif').grey


def sixteen_bit_tiff(path, values):
    """A minimal little-endian 16-bit RGB TIFF, which Pillow cannot write."""
    height, width = values.shape[:2]
    data = values.astype('<u2').tobytes()
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 0), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 0),
            (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data))]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    out = b'II*\0' + np.uint32(8).tobytes() + np.uint16(len(tags)).tobytes()
    for tag, kind, count, value in tags:
        value = {258: start, 273: start + 6}.get(tag, value)
        out += np.array([tag, kind], '<u2').tobytes() + np.array([count, value], '<u4').tobytes()
    path.write_bytes(out + bytes(4) + np.array([16, 16, 16], '<u2').tobytes() + data)


def test_sixteen_bits_a_channel_are_reduced_with_a_note(tmp_path, color):
    sixteen_bit_tiff(tmp_path / 's.tif', color.astype(np.uint16) * 257)
    picture = image.read(tmp_path / 's.tif')
    assert '16 bits' in picture.note
    np.testing.assert_array_equal(picture.pixels, color)


def test_sixteen_bits_that_use_only_twelve_are_refused(tmp_path, color):
    sixteen_bit_tiff(tmp_path / 's.tif', color.astype(np.uint16) * 16)
    with pytest.raises(image.ImageError, match='16 bits a channel but is dark'):
        image.read(tmp_path / 's.tif')


def test_sixteen_bit_greyscale_is_refused(tmp_path, color):
    Image.fromarray(color[..., 0].astype(np.uint16) * 257).save(tmp_path / 'g.png')
    with pytest.raises(image.ImageError, match='greyscale with 16 bits'):
        image.read(tmp_path / 'g.png')


def test_damage_is_told(tmp_path, color):
    Image.fromarray(color).save(tmp_path / 'a.tif')
    whole = (tmp_path / 'a.tif').read_bytes()
    (tmp_path / 'cut.tif').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'empty.tif').write_bytes(b'')
    (tmp_path / 'text.tif').write_text('not an image')
    with pytest.raises(image.ImageError, match=r'damaged or truncated|no image'):
        image.read(tmp_path / 'cut.tif')
    for name in ('empty.tif', 'text.tif'):
        with pytest.raises(image.ImageError, match='no image'):
            image.read(tmp_path / name)
    with pytest.raises(image.ImageError, match='does not exist'):
        image.read(tmp_path / 'absent.tif')


@pytest.mark.parametrize('keep', [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize('suffix', ['tif', 'png', 'jpg', 'bmp', 'webp'])
def test_a_truncated_file_is_refused_unless_all_pixels_are_there(tmp_path, color, suffix, keep):
    Image.fromarray(color).save(tmp_path / f'a.{suffix}')
    whole = (tmp_path / f'a.{suffix}').read_bytes()
    (tmp_path / f'b.{suffix}').write_bytes(whole[: int(len(whole) * keep)])
    try:
        pixels = image.read(tmp_path / f'b.{suffix}').pixels
    except image.ImageError:
        return
    assert keep > 0.99  # only the end mark is missing
    np.testing.assert_array_equal(pixels, image.read(tmp_path / f'a.{suffix}').pixels)


def test_transparency_and_pages_are_refused(tmp_path, color):
    clear = Image.fromarray(color).convert('RGBA')
    clear.putalpha(100)
    clear.save(tmp_path / 't.png')
    frame = Image.fromarray(color)
    frame.save(tmp_path / 'pages.tif', save_all=True, append_images=[frame])
    with pytest.raises(image.ImageError, match='transparent'):
        image.read(tmp_path / 't.png')
    with pytest.raises(image.ImageError, match='2 pages'):
        image.read(tmp_path / 'pages.tif')


def test_to_square_completes_a_cut_crop_without_stretching(color):
    square = image.to_square(color, 50)
    assert square.shape == (50, 50, 3)
    np.testing.assert_array_equal(square[5:45], color)
    np.testing.assert_array_equal(square[:5], color[4::-1])
    assert image.to_square(color, 33).shape == (33, 33, 3)
    assert image.to_square(color[:3], 33).shape == (33, 33, 3)


def test_png_bytes_are_lossless(tmp_path, color):
    (tmp_path / 'a.png').write_bytes(image.to_png(color))
    np.testing.assert_array_equal(image.read(tmp_path / 'a.png').pixels, color)
