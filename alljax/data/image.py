"""Any image file as 24-bit RGB, or the sentence that says why not."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset(
    {'.bmp', '.dib', '.gif', '.jfif', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.pnm', '.ppm', '.tif', '.tiff'}
    | {'.webp'}
)
GREY = frozenset({'1', 'L', 'LA', 'La', 'I', 'F', 'I;16', 'I;16B', 'I;16L', 'I;16N'})

RgbImage = UInt8[np.ndarray, 'height width 3']


class Picture(NamedTuple):
    """A decoded image."""

    pixels: UInt8[np.ndarray, 'height width 3']
    note: str  # what was converted, without the file's name; '' if nothing was
    grey: bool  # the file holds no color


class ImageError(ValueError):
    """The reason why a file is no usable image, and the fix, without the file's name."""


def read(path: Path) -> Picture:
    """Decodes one image file; ImageError if it is not one RGB picture or cannot be turned into one without loss."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            warnings.simplefilter('ignore', UserWarning)  # odd TIFF tags: the pixels decide
            with Image.open(path) as image:
                pages = getattr(image, 'n_frames', 1)
                if pages > 1:
                    raise ImageError(f'holds {pages} pages, expected one; save the page with the cell as a file')
                bits = _bits(image, path)
                image.load()
                return _rgb(ImageOps.exif_transpose(image), bits)
    except UnidentifiedImageError:
        raise ImageError(f'is no image that can be read ({path.stat().st_size} bytes); delete or replace it') from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError('has more pixels than any cell or smear; crop it') from None
    except FileNotFoundError:
        raise ImageError('does not exist') from None
    except PermissionError:
        raise ImageError('may not be read; change its permissions (chmod +r)') from None
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, IndexError, KeyError, TypeError) as error:
        raise ImageError(f'is damaged or truncated ({error}); replace it by an intact copy') from None


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


def _rgb(image: Image.Image, bits: int) -> Picture:
    note = ''
    if image.mode in GREY:
        if bits > 8 or image.mode in ('I', 'F'):
            raise ImageError(f'is greyscale with {bits} bits a pixel, expected 24-bit RGB; export it again in color')
        return Picture(np.asarray(image.convert('L').convert('RGB')), 'greyscale was repeated in three channels', True)
    if bits > 8:
        note = f'{bits} bits a channel were reduced to 8'
    if image.mode == 'CMYK':
        image, note = _from_cmyk(image), 'CMYK was converted to RGB, so its colors may be slightly off'
    elif image.mode in ('P', 'PA', 'RGBA', 'RGBa', 'RGBX'):
        alpha = np.asarray(image.convert('RGBA').getchannel('A'))
        if alpha.min() < 255:
            raise ImageError('has transparent pixels, whose color is unknown; save it without transparency')
        kind = 'palette' if image.mode in ('P', 'PA') else 'opaque RGBA'
        note = f'{kind} was converted to RGB'
    elif image.mode != 'RGB':
        note = f'{image.mode} was converted to RGB'
    pixels = np.asarray(image.convert('RGB'))
    if bits > 8 and pixels.max() < 32:
        raise ImageError(f'has {bits} bits a channel but is almost black in them; scale it to 8 bits a channel')
    grey = bool((pixels == pixels[..., :1]).all())
    return Picture(pixels, note or ('all three channels are equal' if grey else ''), grey)


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get('icc_profile')
    if not profile:
        return image.convert('RGB')
    target = ImageCms.createProfile('sRGB')
    converted = ImageCms.profileToProfile(image, io.BytesIO(profile), target, outputMode='RGB')
    return converted if converted is not None else image.convert('RGB')


def _bits(image: Image.Image, path: Path) -> int:
    """Bits a channel in the file: Pillow hands 16-bit RGB out as 8 bits without a word."""
    if image.format == 'TIFF':
        return int(max(image.tag_v2.get(258, (8,))))  # type: ignore[attr-defined]  # BitsPerSample
    if image.format == 'PNG':
        with path.open('rb') as file:
            return file.read(25)[24]  # IHDR's bit depth
    return 16 if image.mode.startswith('I;16') else 32 if image.mode in ('I', 'F') else 8
