"""Fields from every kind of file, and one sentence for each that cannot be read."""

import sys
import types

import numpy as np
import pytest
import tifffile
from PIL import Image

from alljax.data.picture import ImageError
from alljax.fields import field_image

RANDOM = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
SMOOTH = np.asarray(Image.fromarray(RANDOM[:9, :13]).resize((130, 90), Image.Resampling.BICUBIC))


def whole(field):
    return field.window(0, 0, field.width, field.height)


def test_an_ordinary_picture_is_read_by_the_rules_of_cells(tmp_path):
    Image.fromarray(SMOOTH).save(tmp_path / 'a.png')
    field = field_image.open_field(tmp_path / 'a.png')
    assert (field.width, field.height) == (130, 90)
    assert np.array_equal(field.window(20, 10, 50, 40), SMOOTH[10:50, 20:70])
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(SMOOTH).save(tmp_path / 'turned.jpg', exif=exif)
    assert whole(field_image.open_field(tmp_path / 'turned.jpg')).shape == (130, 90, 3)
    Image.fromarray(SMOOTH).convert('CMYK').save(tmp_path / 'cmyk.jpg')
    assert 'CMYK was converted to RGB' in field_image.open_field(tmp_path / 'cmyk.jpg').note
    tifffile.imwrite(tmp_path / 'deep.tif', SMOOTH.astype(np.uint16) * 257, photometric='rgb')
    assert np.abs(whole(field_image.open_field(tmp_path / 'deep.tif')).astype(int) - SMOOTH).max() <= 1


def test_a_damaged_or_missing_file_is_told(tmp_path):
    Image.fromarray(RANDOM).save(tmp_path / 'a.jpg')
    (tmp_path / 'cut.jpg').write_bytes((tmp_path / 'a.jpg').read_bytes()[:2000])
    with pytest.raises(ImageError, match='damaged or truncated'):
        field_image.open_field(tmp_path / 'cut.jpg')
    with pytest.raises(ImageError, match='does not exist'):
        field_image.open_field(tmp_path / 'none.png')
    with pytest.raises(ImageError, match='does not exist'):
        field_image.open_field(tmp_path / 'none.svs')


@pytest.mark.parametrize('compression', [None, 'deflate', 'jpeg'])
def test_a_pyramid_is_read_by_its_tiles(tmp_path, compression):
    path = tmp_path / 'pyramid.tif'
    with tifffile.TiffWriter(path) as file:
        for step, kind in ((1, 0), (2, 1)):
            file.write(
                SMOOTH[::step, ::step], tile=(32, 48), photometric='rgb', compression=compression, subfiletype=kind
            )
    field = field_image.open_field(path)
    with tifffile.TiffFile(path) as file:
        stored = file.pages.first.asarray()
    assert (field.width, field.height) == (130, 90)
    assert np.array_equal(whole(field), stored)
    assert np.array_equal(field.window(31, 33, 66, 50), stored[33:83, 31:97])


def test_a_pyramid_without_some_of_its_pixels_is_told(tmp_path):
    path = tmp_path / 'pyramid.tif'
    with tifffile.TiffWriter(path) as file:
        file.write(SMOOTH, tile=(32, 48), photometric='rgb')
        file.write(SMOOTH[::2, ::2], tile=(32, 48), photometric='rgb', subfiletype=1)
    field = field_image.open_field(path)
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags['TileByteCounts']
    with path.open('r+b') as file:
        file.seek(tag.valueoffset)
        file.write((10**8).to_bytes(4, 'little'))
    with pytest.raises(ImageError, match='damaged or truncated'):
        whole(field)


def test_a_picture_of_more_pixels_than_a_cell_may_have_is_a_field(tmp_path, monkeypatch):
    Image.fromarray(SMOOTH).save(tmp_path / 'large.png')
    tifffile.imwrite(tmp_path / 'strips.tif', SMOOTH, photometric='rgb', rowsperstrip=7)
    Image.fromarray(SMOOTH).convert('L').save(tmp_path / 'grey.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 5000)
    for name in ('large.png', 'strips.tif'):
        field = field_image.open_field(tmp_path / name)
        assert np.array_equal(field.window(20, 10, 50, 40), SMOOTH[10:50, 20:70])
    assert Image.MAX_IMAGE_PIXELS == 5000
    with pytest.raises(ImageError, match='has 130 × 90 pixels, expected 24-bit RGB that is not turned'):
        field_image.open_field(tmp_path / 'grey.png')
    monkeypatch.setattr(field_image, 'LARGEST', 10_000)
    with pytest.raises(ImageError, match='too many to decode whole; save it as a tiled TIFF'):
        field_image.open_field(tmp_path / 'large.png')


def test_a_whole_slide_file_is_read_through_its_reader(tmp_path, monkeypatch):
    class Slide:
        dimensions = (130, 90)

        def __init__(self, path):
            if path.endswith('broken.svs'):
                raise ValueError('no tiles')

        def read_region(self, place, level, size):
            assert level == 0
            left, top = place
            part = Image.fromarray(SMOOTH).crop((left, top, left + size[0], top + size[1])).convert('RGBA')
            part.putpixel((0, 0), (0, 0, 0, 0))
            return part

    for name in ('a.svs', 'broken.svs'):
        (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, 'tiffslide', None)
    monkeypatch.setitem(sys.modules, 'openslide', None)
    with pytest.raises(ImageError, match=r"reader is not installed; install it by: pip install 'alljax\[slides\]'"):
        field_image.open_field(tmp_path / 'a.svs')
    monkeypatch.setitem(sys.modules, 'openslide', types.SimpleNamespace(OpenSlide=Slide))
    part = field_image.open_field(tmp_path / 'a.svs').window(20, 10, 50, 40)
    assert np.array_equal(part[1:], SMOOTH[11:50, 20:70])
    assert part[0, 0].tolist() == [255, 255, 255]  # what was not scanned
    with pytest.raises(ImageError, match=r'is no whole-slide file that can be read \(no tiles\)'):
        field_image.open_field(tmp_path / 'broken.svs')
