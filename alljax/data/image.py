"""Any image file as 24-bit RGB, or the sentence that says why not."""

import io
import os
import re
import stat as modes
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from alljax.data import image_signatures, npz_pictures, tiff
from alljax.data.bit_depth import LEAST_USED, depth_of_maximum, to_8_bits
from alljax.data.picture import ImageError, Picture, RgbImage, expect_size

__all__ = [
    'SUFFIXES', 'ImageError', 'Picture', 'RgbImage', 'content', 'photograph', 'read', 'stat', 'to_png', 'to_square',
]  # fmt: skip

SUFFIXES = frozenset(
    {'.bmp', '.dib', '.gif', '.jfif', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.pnm', '.ppm', '.tif', '.tiff'}
    | {'.webp'}
)
FORMATS = ('TIFF', 'PNG', 'JPEG', 'BMP', 'WEBP', 'GIF', 'PPM')  # no other decoder of Pillow sees a file
GREY = frozenset({'1', 'L', 'LA', 'La', 'I', 'F', 'I;16', 'I;16B', 'I;16L', 'I;16N'})
TRANSPARENT = 'has transparent pixels, whose color is unknown; save it without transparency'
NOT_REGULAR = {
    modes.S_IFDIR: 'a folder',
    modes.S_IFIFO: 'a named pipe',
    modes.S_IFSOCK: 'a socket',
    modes.S_IFCHR: 'a device',
    modes.S_IFBLK: 'a device',
}


def read(path: Path) -> Picture:
    """Decodes one image file; ImageError if it is not one RGB picture or cannot be turned into one without loss.

    A path may lead into an archive of arrays, as `npz_pictures` has it.
    """
    if inside := npz_pictures.place(path):
        return npz_pictures.read(inside)
    try:
        if kind := not_regular(path.stat().st_mode):  # opening a pipe would wait for who writes to it
            raise ImageError(f'is {kind}, expected an image file; name a file')
        with path.open('rb') as file, warnings.catch_warnings():
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            warnings.simplefilter('ignore', UserWarning)  # odd TIFF tags: the pixels decide
            return _decoded(file)
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError('has more pixels than any cell or smear; crop it') from None
    except FileNotFoundError:
        raise ImageError('does not exist') from None
    except PermissionError:
        raise ImageError('may not be read; change its permissions (chmod +r)') from None
    except MemoryError:
        raise ImageError('needs more memory than there is; crop it') from None
    except Exception as error:  # whatever a decoder raises: a file of other people's making may not end the program
        if isinstance(error, OSError) and error.errno:
            raise ImageError(f'cannot be read ({error.strerror}); replace it by an intact copy') from None
        said = ' '.join(f'{error}'.split()) or type(error).__name__
        raise ImageError(f'is damaged or truncated ({said}); replace it by an intact copy') from None


def content(path: Path) -> bytes:
    """The bytes of an image file, or of the pixels of a picture in an archive."""
    inside = npz_pictures.place(path)
    return npz_pictures.content(inside) if inside else path.read_bytes()


def stat(path: Path) -> os.stat_result:
    """The state on disk of an image file, or of the archive that a picture is in."""
    inside = npz_pictures.place(path)
    return (inside.archive if inside else path).stat()


def has_levels_only(path: Path) -> bool:
    """True for an image file whose pixels are levels or numbers in a palette, as those of a mask are, and no colors."""
    try:
        if not_regular(path.stat().st_mode):
            return False
        with Image.open(path, formats=FORMATS) as image:
            return image.mode in GREY - {'LA', 'La'} or image.mode == 'P'
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def not_regular(mode: int) -> str:
    """The kind of a file system's entry that is no regular file, by its mode: 'a named pipe'; '' for a regular file."""
    return '' if modes.S_ISREG(mode) else NOT_REGULAR.get(modes.S_IFMT(mode), 'no regular file')


def to_square(pixels: UInt8[np.ndarray, 'height width 3'], size: int) -> UInt8[np.ndarray, '{size} {size} 3']:
    """A crop as a square of `size` pixels a side; a crop cut at the image border is completed by its mirror image.

    Stretching would make a round nucleus oval, and oval nuclei are what tells L3.
    """
    height, width = pixels.shape[:2]
    side = max(height, width)
    before = ((side - height) // 2, (side - width) // 2)
    pad = [(b, side - n - b) for b, n in zip(before, (height, width), strict=True)]
    square = np.pad(pixels, [*pad, (0, 0)], mode='symmetric') if height != width else pixels
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def photograph(
    pixels: UInt8[np.ndarray, 'height width 3'], size: int, resize: int, interpolation: str
) -> UInt8[np.ndarray, '{size} {size} 3']:
    """The center `size` pixels of a picture whose shorter side was brought to `resize` pixels: ImageNet's custom.

    The same as torchvision's transform of a Pillow image, to the pixel. `interpolation` is 'bilinear' or 'bicubic'.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    target = (int(resize * width / short), int(resize * height / short))
    resized = Image.fromarray(pixels).resize(target, Image.Resampling[interpolation.upper()])
    left, top = (round((side - size) / 2) for side in target)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def to_png(pixels: UInt8[np.ndarray, 'height width 3']) -> bytes:
    """The pixels as a PNG file's bytes."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG', compress_level=1)
    return stream.getvalue()


def _decoded(file: BinaryIO) -> Picture:
    head = file.read(image_signatures.HEAD)
    note = ''
    if head.startswith(tiff.SIGNATURES):
        found = tiff.read(file)
        if found.samples:
            return _from_samples(found.samples, found.note)
        note = found.note
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(_unknown(head, file.seek(0, io.SEEK_END))) from None
    with image:
        expect_size(*image.size)
        pages = getattr(image, 'n_frames', 1)
        if pages > 1 and image.format == 'MPO':
            note = f'the first of {pages} pictures in the file was taken'
            image.seek(0)
        elif pages > 1:
            word = 'pages' if image.format == 'TIFF' else 'frames'
            raise ImageError(f'holds {pages} {word}, expected one; save the one with the cell as a file')
        image.load()
        if image.format == 'PNG' and head[24:26] in (b'\x10\x02', b'\x10\x06'):  # IHDR: 16 bits of RGB or RGBA
            return _from_samples(_png_samples(image, file), note)
        if image.format == 'PNG' and head[25] == 4:  # grey with opacity, of which Pillow makes RGBA
            _refuse_deep_grey(head[24])
        picture = _rgb(ImageOps.exif_transpose(image), _bits(image, head))
    return picture._replace(note=_joined(note, picture.note))


def _unknown(head: bytes, size: int) -> str:
    kind = image_signatures.found(head)
    if kind:
        return f'is {kind}, expected {image_signatures.READ}; convert it to PNG'
    return f'is no image that can be read ({size} bytes); delete or replace it'


def _rgb(image: Image.Image, bits: int) -> Picture:
    note = ''
    _expect_opaque(image)
    if image.mode in GREY:
        _refuse_deep_grey(32 if image.mode in ('I', 'F') else bits)
        return Picture(np.asarray(image.convert('L').convert('RGB')), 'greyscale was repeated in three channels', True)
    if bits > 8:
        note = f'{bits} bits a channel were reduced to 8'
    if image.mode == 'CMYK':
        image, note = _from_cmyk(image)
    elif image.mode in ('P', 'PA', 'RGBA', 'RGBa', 'RGBX'):
        note = f'{"palette" if image.mode in ("P", "PA") else "opaque RGBA"} was converted to RGB'
    elif image.mode != 'RGB':
        note = f'{image.mode} was converted to RGB'
    pixels = np.asarray(image.convert('RGB'))
    if bits == 16 and pixels.max() < LEAST_USED * 256:
        raise ImageError(f'has {bits} bits a channel but is dark in them; scale it to 8 bits a channel')
    return _picture(pixels, note)


def _refuse_deep_grey(bits: int) -> None:
    """ImageError for levels of grey of more than 8 bits: a measurement, of which nobody says what is white."""
    if bits > 8:
        raise ImageError(f'is greyscale with {bits} bits a pixel, expected 24-bit RGB; export it again in color')


def _picture(pixels: RgbImage, note: str) -> Picture:
    grey = bool((pixels == pixels[..., :1]).all())
    return Picture(pixels, note or ('all three channels are equal' if grey else ''), grey)


def _expect_opaque(image: Image.Image) -> None:
    """ImageError for a picture with transparent pixels, be it by a channel, by its palette or by one color."""
    if image.has_transparency_data and np.asarray(image.convert('RGBA').getchannel('A')).min() < 255:
        raise ImageError(TRANSPARENT)


def _from_samples(samples: tiff.Samples, note: str) -> Picture:
    """The picture of samples that Pillow cannot hold."""
    opacity = samples.values[..., 3] if samples.alpha else np.array(0, np.uint16)
    if opacity.min() < opacity.max() or (samples.alpha and depth_of_maximum(int(opacity.max())) is None):
        raise ImageError(TRANSPARENT)
    pixels, reduced = to_8_bits(samples.values[..., :3], samples.stored, samples.declared)
    opaque = 'opaque RGBA was converted to RGB' if samples.alpha else ''
    return _picture(_upright(pixels, samples.orientation), _joined(reduced, opaque, note))


def _upright(pixels: RgbImage, orientation: int) -> UInt8[np.ndarray, 'rows columns 3']:
    """Pixels that were stored in EXIF's orientation, 1 to 8, as they are seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _png_samples(image: Image.Image, file: BinaryIO) -> tiff.Samples:
    """The 16 bits a channel of a PNG file, of which Pillow keeps 8."""
    from imagecodecs import png_decode  # takes long to load, and few pictures need it

    file.seek(0)
    content = file.read()
    values = png_decode(content)
    place = content.find(b'sBIT', 0, content.find(b'IDAT'))
    used = max(content[place + 4 : place + 7]) if place > 0 else None
    return tiff.Samples(values, 16, used, values.shape[2] == 4, int(image.getexif().get(274, 1)))


def _from_cmyk(image: Image.Image) -> tuple[Image.Image, str]:
    note, profile = 'CMYK was converted to RGB, so its colors may be slightly off', image.info.get('icc_profile')
    if not profile:
        return image.convert('RGB'), note
    try:
        source, target = io.BytesIO(profile), ImageCms.createProfile('sRGB')
        converted = ImageCms.profileToProfile(image, source, target, outputMode='RGB')
    except (ImageCms.PyCMSError, OSError):
        return image.convert('RGB'), 'CMYK was converted to RGB without its color profile, which is damaged'
    return converted if converted is not None else image.convert('RGB'), note


def _bits(image: Image.Image, head: bytes) -> int:
    """Bits a channel in the file: Pillow hands 16-bit RGB out as 8 bits without a word."""
    if image.format == 'PNG':
        return head[24]
    if image.format == 'PPM' and image.mode == 'RGB':
        words = re.sub(rb'#[^\r\n]*', b'', head).split()
        return max(8, int(words[3]).bit_length()) if len(words) > 3 else 8
    if image.format == 'TIFF':
        return int(max(image.tag_v2.get(258, (8,))))  # type: ignore[attr-defined]  # BitsPerSample
    return 16 if image.mode.startswith('I;16') else 32 if image.mode in ('I', 'F') else 8


def _joined(*notes: str) -> str:
    return ', '.join(filter(None, notes))
