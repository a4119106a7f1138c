"""Reads every file of a listing once and reports all of its problems together."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from alljax.data import image
from alljax.data.datasets.listing import Listing, Record
from alljax.errors import UserError, some


def verify(listing: Listing) -> list[str]:
    """Decodes every file; UserError with all problems of the folder, else notes on what was converted."""
    problems = list(listing.problems)
    if not listing.records and not problems:
        problems.append(f'{listing.root}: holds no images; expected cells of the classes {", ".join(listing.classes)}')
    unknown = sorted({record.label for record in listing.records} - set(listing.classes))
    if unknown and not problems:
        problems.append(f'{listing.root}: cells are labelled {some(unknown)}, expected {", ".join(listing.classes)}')
    notes, pixels, grey = defaultdict(list), defaultdict(list), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for record, result in zip(listing.records, pool.map(_decode(listing), listing.records), strict=True):
            if isinstance(result, image.ImageError):
                problems.append(f'{record.file}: {result}')
                continue
            note, is_grey, digest = result
            pixels[digest].append(record)
            if is_grey:
                grey.append(record.file)
            if note:
                notes[note].append(record.file)
    problems += _about_grey(listing, grey)
    for same in pixels.values():
        problems += _about_repeats(listing, same)
    if problems:
        raise UserError(*problems)
    return [f'{some(files, 3)}: {note}' for note, files in notes.items()]


def _decode(listing: Listing) -> Callable[[Record], tuple[str, bool, bytes] | image.ImageError]:
    def decode(record: Record) -> tuple[str, bool, bytes] | image.ImageError:
        try:
            picture = image.read(listing.root / record.file)
        except image.ImageError as error:
            return error
        digest = hashlib.sha256(repr(picture.pixels.shape).encode() + picture.pixels.tobytes()).digest()
        return picture.note, picture.grey, digest

    return decode


def _about_grey(listing: Listing, grey: list[str]) -> list[str]:
    """Color is what a stain says. Some grey files among colored ones would also give their labels away."""
    if not grey or (listing.greyscale and len(grey) == len(listing.records)):
        return []
    return [f'{file}: is greyscale, expected 24-bit RGB; replace it by the color image of the cell' for file in grey]


def _about_repeats(listing: Listing, same: list[Record]) -> list[str]:
    """Equal pixels under two names: a split could put the same cell on both sides."""
    files = [record.file for record in same]
    if len({record.label for record in same}) > 1:
        said = ', '.join(f'{record.file} ({record.label})' for record in same)
        return [f'{said}: hold the same pixels under different labels; keep the right one']
    if len({record.group for record in same}) == 1:
        return []
    return [
        f'{some(files)}: hold the same pixels; delete all but one, or give them one group (in {listing.group_table})'
    ]
