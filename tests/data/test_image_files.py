"""Files that are called pictures: other formats, several pictures in one, absurd sizes, and what is no file."""

import io
import os
import struct
import sys
import threading
from functools import partial

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile

from alljax.data import image

Y, X = np.mgrid[:40, :48]
COLOR = np.stack([120 + 80 * np.sin(X / 9), 120 + 80 * np.cos(Y / 7), 130 + 90 * np.sin((X + Y) / 11)], -1)
COLOR = COLOR.round().astype(np.uint8)
PICTURE = Image.fromarray(COLOR)


def saved(kind, **options):
    stream = io.BytesIO()
    PICTURE.save(stream, kind, **options)
    return stream.getvalue()


def others():
    """Formats that Pillow would open, by what the error says of them."""
    psd = b'8BPS' + struct.pack('>H6xHIIHH', 1, 3, 40, 48, 8, 3) + bytes(12) + struct.pack('>H', 0) + bytes(40 * 48 * 3)
    cards = ('SIMPLE  =                    T', 'BITPIX  =                    8', 'NAXIS   =                    2',
             'NAXIS1  =                   48', 'NAXIS2  =                   40', 'END')  # fmt: skip
    fits = ''.join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880)
    wmf = b'\xd7\xcd\xc6\x9a' + struct.pack('<HhhhhHIH', 0, 0, 0, 48, 40, 96, 0, 0) + b'\x01\0\x09\0' + bytes(40)
    return {
        'a PostScript': saved('EPS'),
        'a PDF': saved('PDF'),
        'a Photoshop': psd,
        'a FITS': fits,
        'a Windows metafile': wmf,
        r'an icon \(ICNS\)': saved('ICNS'),
        r'an icon \(ICO\)': saved('ICO'),
        'a JPEG 2000': saved('JPEG2000'),
        'an AVIF': saved('AVIF'),
        'a HEIC': struct.pack('>I', 24) + b'ftypheic' + bytes(4) + b'mif1heic' + bytes(99),
        'no image': saved('PCX'),
        'no image that': saved('TGA'),
    }


@pytest.mark.parametrize(('words', 'content'), others().items())
def test_no_decoder_of_another_format_opens_a_file(tmp_path, monkeypatch, words, content):
    Image.init()
    for kind in set(Image.OPEN) - set(image.FORMATS):
        fail = partial(pytest.fail, f'the decoder of {kind} saw the file')
        monkeypatch.setitem(Image.OPEN, kind, (lambda *rest, fail=fail: fail(), None))
    for name in ('a.png', 'a.jpg', 'a.tif'):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(image.ImageError, match=f'is {words}'):
            image.read(tmp_path / name)


def test_ghostscript_is_never_asked(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *rest, **more: pytest.fail('Ghostscript was asked'))
    for content in (saved('EPS'), b'\xc5\xd0\xd3\xc6' + struct.pack('<II', 30, 999) + bytes(18) + saved('EPS')):
        (tmp_path / 'a.png').write_bytes(content)
        with pytest.raises(image.ImageError, match='PostScript'):
            image.read(tmp_path / 'a.png')


def test_the_first_picture_of_a_phone_is_read(tmp_path):
    PICTURE.save(tmp_path / 'a.jpg', 'MPO', save_all=True, append_images=[Image.fromarray(255 - COLOR)], quality=95)
    PICTURE.save(tmp_path / 'b.jpg', quality=95)
    picture, alone = image.read(tmp_path / 'a.jpg'), image.read(tmp_path / 'b.jpg')
    np.testing.assert_array_equal(picture.pixels, alone.pixels)
    assert picture.note == 'the first of 2 pictures in the file was taken'
    assert alone.note == ''


@pytest.mark.parametrize('suffix', ['gif', 'webp', 'png'])
def test_films_are_refused(tmp_path, suffix):
    path = tmp_path / f'a.{suffix}'
    PICTURE.save(path, save_all=True, append_images=[Image.fromarray(255 - COLOR)])
    with pytest.raises(image.ImageError, match='holds 2 frames, expected one'):
        image.read(path)
    PICTURE.save(path)
    assert image.read(path).pixels.shape == COLOR.shape


@pytest.mark.parametrize('size', [(60000, 20), (20, 60000), (20_001, 4_000), (200, 12), (9500, 9500)])
def test_absurd_sizes_are_refused_before_they_are_decoded(tmp_path, monkeypatch, size):
    monkeypatch.setattr(Image.Image, 'load', lambda self: pytest.fail('decoded'))
    width, height = size
    (tmp_path / 'a.ppm').write_bytes(f'P6 {width} {height} 255\n'.encode())
    tifffile.imwrite(tmp_path / 'a.tif', COLOR.astype(np.uint16) * 257, photometric='rgb')
    with tifffile.TiffFile(tmp_path / 'a.tif', mode='r+b') as tiff:
        tiff.pages.first.tags[256].overwrite(width, dtype='I')
        tiff.pages.first.tags[257].overwrite(height, dtype='I')
    for name in ('a.ppm', 'a.tif'):
        with pytest.raises(image.ImageError, match=f'({width} × {height}|more pixels).*; crop it'):
            image.read(tmp_path / name)


def test_a_bomb_is_refused(tmp_path):
    (tmp_path / 'a.ppm').write_bytes(b'P6 40000 40000 255\n')
    with pytest.raises(image.ImageError, match='more pixels than any cell'):
        image.read(tmp_path / 'a.ppm')


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'folder.png').mkdir()
    (tmp_path / 'device.png').symlink_to('/dev/zero')
    (tmp_path / 'loop.png').symlink_to('loop.png')
    for name, words in (
        ('pipe.png', 'is a named pipe'),
        ('folder.png', 'is a folder'),
        ('device.png', 'is a device'),
        ('loop.png', 'cannot be read'),
        ('n' * 300 + '.png', 'cannot be read'),
        ('nul\0.png', 'null'),
    ):
        found = []

        def ask(name=name, found=found):
            with pytest.raises(image.ImageError) as error:
                image.read(tmp_path / name)
            found.append(str(error.value))

        thread = threading.Thread(target=ask, daemon=True)  # a pipe that is opened waits for ever
        thread.start()
        thread.join(10)
        assert found, f'{name} was opened'
        assert words in found[0]


def test_whatever_a_decoder_raises_is_the_files_fault(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / 'a.png')
    for error in (struct.error('x'), OverflowError(), RuntimeError('x'), AttributeError('x'), ZeroDivisionError(),
                  RecursionError(), AssertionError()):  # fmt: skip

        def fail(self, error=error):
            raise error

        monkeypatch.setattr(ImageFile.ImageFile, 'load', fail)
        with pytest.raises(image.ImageError, match=r'damaged or truncated \(.+\)'):
            image.read(tmp_path / 'a.png')


def test_a_damaged_color_profile_is_left_out_with_a_note(tmp_path):
    PICTURE.convert('CMYK').save(tmp_path / 'a.tif')
    plain = image.read(tmp_path / 'a.tif').pixels
    for profile in (b'no profile', bytes(200), b'\xff' * 500):
        PICTURE.convert('CMYK').save(tmp_path / 'a.tif', icc_profile=profile)
        picture = image.read(tmp_path / 'a.tif')
        np.testing.assert_array_equal(picture.pixels, plain)
        assert 'without its color profile, which is damaged' in picture.note
        PICTURE.save(tmp_path / 'a.png', icc_profile=profile)  # a profile of RGB is not looked at
        np.testing.assert_array_equal(image.read(tmp_path / 'a.png').pixels, COLOR)


@pytest.mark.skipif(sys.platform == 'darwin', reason='its file names are UTF-8')
def test_a_name_that_is_not_utf8_is_read(tmp_path):
    for suffix, values in (('png', None), ('tif', COLOR.astype(np.uint16) * 257)):
        path = tmp_path / os.fsdecode(b'caf\xe9.' + suffix.encode())
        if values is None:
            path.write_bytes(saved('PNG'))
        else:
            tifffile.imwrite(tmp_path / 'a', values, photometric='rgb')
            (tmp_path / 'a').rename(path)
        np.testing.assert_array_equal(image.read(path).pixels, COLOR)
