"""A whole field, read window by window: an ordinary picture, a tiled TIFF file, a whole-slide file."""

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alljax.data import image, tiff
from alljax.data.picture import ImageError, RgbImage

SLIDES = frozenset({'.bif', '.mrxs', '.ndpi', '.scn', '.svs', '.svslide', '.vms', '.vmu'})
SUFFIXES = image.SUFFIXES | SLIDES
READERS = (('tiffslide', 'TiffSlide'), ('openslide', 'OpenSlide'))  # the first that is installed
KEPT = 100_000_000  # pixels of fields, 3 bytes each, that are held in memory for who asks for them again
LARGEST = 20_000 * 20_000  # pixels of an ordinary file: it is decoded whole, in 4 bytes each
ORIENTATION = 274  # the tag of EXIF and TIFF
TURNED = (5, 6, 7, 8)  # its values by which the width is the height of what is seen

Window = Callable[[int, int, int, int], RgbImage]  # left, top, width, height, inside the field


class FieldImage(NamedTuple):
    """A field of any size, of which only what is asked for is in memory where the file allows it."""

    width: int
    height: int
    window: Window
    note: str = ''  # what was converted, without the file's name


Opened = Callable[[Path], FieldImage]  # as `open_field`


def kept_open(pixels: int = KEPT) -> Opened:
    """As `open_field`, but a field that was opened is not read again, as far as so many pixels hold them."""
    fields: dict[Path, FieldImage] = {}

    def opened(path: Path) -> FieldImage:
        field = fields.get(path) or open_field(path)
        if sum(one.width * one.height for one in {**fields, path: field}.values()) <= pixels:
            fields[path] = field
        return field

    return opened


def open_field(path: Path) -> FieldImage:
    """The field in a file; ImageError, without the file's name, if it cannot be read."""
    if path.suffix.lower() in SLIDES:
        return _slide(path)
    with contextlib.suppress(OSError), path.open('rb') as file:
        if file.read(4) in tiff.SIGNATURES and (tiled := _tiled(path)):
            return tiled
    size = size_by_head(path)
    if size and size[0] * size[1] > (Image.MAX_IMAGE_PIXELS or LARGEST):
        return _large(path, size)
    picture = image.read(path)
    return from_pixels(picture.pixels)._replace(note=picture.note)


def from_pixels(pixels: RgbImage) -> FieldImage:
    """A field that is in memory."""

    def window(left: int, top: int, width: int, height: int) -> UInt8[np.ndarray, 'height width 3']:
        return pixels[top : top + height, left : left + width]

    return FieldImage(pixels.shape[1], pixels.shape[0], window)


class Head(NamedTuple):
    """The head of a picture's file."""

    size: tuple[int, int]  # width and height as it is seen
    is_turned: bool  # or mirrored, to be seen, by its orientation tag


def head(path: Path) -> Head | None:
    """The words of a picture's file about it, without its pixels; None for what is told better by who reads it."""
    try:
        if image.not_regular(path.stat().st_mode):
            return None
        with _any_size(), Image.open(path, formats=image.FORMATS) as found:
            width, height = found.size
            turned = found.getexif().get(ORIENTATION, 1)
            return Head((height, width) if turned in TURNED else (width, height), turned in range(2, 9))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def size_by_head(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture as it is seen, by the file's head; None for what is told better by who reads it."""
    found = head(path)
    return found.size if found else None


def _large(path: Path, size: tuple[int, int]) -> FieldImage:
    """A field of more pixels than any other picture may have: plain RGB, of which windows are cut."""
    shape = f'{size[0]} × {size[1]} pixels'
    if size[0] * size[1] > LARGEST:
        raise ImageError(f'has {shape}, too many to decode whole; save it as a tiled TIFF, which is read by tiles')
    try:
        with _any_size(), Image.open(path, formats=image.FORMATS) as found:
            if found.mode != 'RGB' or found.getexif().get(ORIENTATION, 1) != 1:
                raise ImageError(f'has {shape}, expected 24-bit RGB that is not turned; save it as a tiled TIFF')
            found.load()
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f'has {shape}, more than memory holds; save it as a tiled TIFF') from None
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f'is damaged or truncated ({error}); replace it by an intact copy') from None

    def window(left: int, top: int, width: int, height: int) -> UInt8[np.ndarray, 'height width 3']:
        return np.asarray(found.crop((left, top, left + width, top + height)))

    return FieldImage(*size, window)


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """Pillow without its limit of pixels, which is for pictures of unknown people on web servers."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _tiled(path: Path) -> FieldImage | None:
    """A large TIFF, or the largest picture of a pyramid, read by its tiles or strips; None for any other."""
    import tifffile  # takes long to load

    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages.first
            width, height = page.imagewidth, page.imagelength
            others = [int(np.prod(other.shape[:2])) for other in list(file.pages)[1:]]
            pyramid = bool(others) and page.is_tiled and max(others) < width * height
            huge = not others and width * height > (Image.MAX_IMAGE_PIXELS or LARGEST)
            if not (pyramid or huge or page.subifds):
                return None
            _expect_windows(page)
    except ImageError:
        raise
    except Exception:  # whatever a reader of other people's files raises: the reader of pictures says what it is
        return None

    def window(left: int, top: int, width: int, height: int) -> UInt8[np.ndarray, 'height width 3']:
        return _tiff_window(path, left, top, width, height)

    return FieldImage(width, height, window)


def _expect_windows(page: Any) -> None:
    """ImageError for a TIFF whose tiles are not plain RGB."""
    colors = page.photometric in (tiff.RGB, tiff.YCBCR) and page.samplesperpixel >= 3 and page.planarconfig == 1
    if not colors or page.bitspersample != 8 or page.imagedepth > 1:
        raise ImageError(
            f'is a TIFF of {page.imagewidth} × {page.imagelength} pixels in {page.samplesperpixel} channels of '
            f'{page.bitspersample} bits, expected 24-bit RGB, whose tiles can be read alone; save it as that'
        )
    turned = page.tags.get(ORIENTATION)
    if turned is not None and turned.value != 1:
        raise ImageError('is a large TIFF that is turned by its orientation tag; save it as it is seen')


def _tiff_window(path: Path, left: int, top: int, width: int, height: int) -> RgbImage:
    """Part of a TIFF's first picture, of which only the tiles or strips that it touches are decoded."""
    import tifffile

    out = np.full((height, width, 3), 255, np.uint8)  # a tile that was not scanned is empty, as OpenSlide has it
    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages.first
            down, across = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
            a_row = -(-page.imagewidth // across)
            for row in range(top // down, -(-(top + height) // down)):
                for column in range(left // across, -(-(left + width) // across)):
                    segment = _segment(file, page, row * a_row + column)
                    if segment is not None:
                        _put(out, segment, row * down - top, column * across - left)
    except ImageError:
        raise
    except Exception as error:
        said = ' '.join(f'{error}'.split()) or type(error).__name__
        raise ImageError(f'is damaged or truncated ({said}); replace it by an intact copy') from None
    return out


def _segment(file: Any, page: Any, number: int) -> UInt8[np.ndarray, 'rows columns 3'] | None:
    count = page.databytecounts[number]
    if not count:
        return None
    file.filehandle.seek(page.dataoffsets[number])
    content = file.filehandle.read(count)
    if len(content) < count:
        raise ImageError('is damaged or truncated (pixels are missing); replace it by an intact copy')
    decoded = page.decode(content, number, jpegtables=page.jpegtables)[0]
    return np.asarray(decoded)[0, ..., :3]


def _put(out: RgbImage, segment: UInt8[np.ndarray, 'rows columns 3'], row: int, column: int) -> None:
    """Copies a segment to its place, as far as it lies inside."""
    bottom, right = min(out.shape[0], row + segment.shape[0]), min(out.shape[1], column + segment.shape[1])
    top, left = max(0, row), max(0, column)
    out[top:bottom, left:right] = segment[top - row : bottom - row, left - column : right - column]


def _slide(path: Path) -> FieldImage:
    """A whole-slide file in its finest level."""
    if not path.exists():
        raise ImageError('does not exist')
    for package, name in READERS:
        with contextlib.suppress(ImportError, OSError):  # openslide raises the latter without its C library
            reader = getattr(importlib.import_module(package), name)
            break
    else:
        raise ImageError(
            "is a whole-slide file, whose reader is not installed; install it by: pip install 'alljax[slides]'"
        )
    try:
        slide = reader(str(path))
        width, height = slide.dimensions
    except Exception as error:
        said = ' '.join(f'{error}'.split()) or type(error).__name__
        raise ImageError(f'is no whole-slide file that can be read ({said}); replace it by an intact copy') from None

    alone = threading.Lock()  # a reader's file has one place at which it reads

    def window(left: int, top: int, width: int, height: int) -> UInt8[np.ndarray, 'height width 3']:
        try:
            with alone:
                part = slide.read_region((left, top), 0, (width, height)).convert('RGBA')
        except Exception as error:
            raise ImageError(f'is damaged or truncated ({error}); replace it by an intact copy') from None
        empty = Image.new('RGBA', part.size, 'white')  # what was not scanned is transparent
        return np.asarray(Image.alpha_composite(empty, part).convert('RGB'))

    return FieldImage(width, height, window)
