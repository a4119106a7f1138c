"""Files that are equal without question: byte by byte, or pixel by pixel."""

from collections.abc import Sequence


def pairs(file_digests: Sequence[str], pixel_digests: Sequence[str]) -> list[tuple[int, int, str]]:
    """Each cell that came before, with the first it equals and how: 'same file' or 'same pixels'."""
    files: dict[str, int] = {}
    pixels: dict[str, int] = {}
    found = []
    for index, (file, picture) in enumerate(zip(file_digests, pixel_digests, strict=True)):
        if file in files:
            found.append((files[file], index, 'same file'))
        elif picture in pixels:
            found.append((pixels[picture], index, 'same pixels'))
        files.setdefault(file, index)
        pixels.setdefault(picture, index)
    return found
