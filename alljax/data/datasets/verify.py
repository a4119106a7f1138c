"""Reads every file of a listing once and reports all of its problems together."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from alljax.data import image
from alljax.data.datasets.listing import Listing, Record
from alljax.data.in_order import in_order
from alljax.errors import UserError, some
from alljax.storage import progress_bar

SHOWN = 8  # files or sets of files of one kind of problem that are named one by one


def verify(listing: Listing) -> list[str]:
    """Decodes every file; UserError with all problems of the folder, else notes on what was converted."""
    problems = list(listing.problems)
    if not listing.records and not problems:
        problems.append(f'{listing.root}: holds no images; expected cells of the classes {", ".join(listing.classes)}')
    unknown = sorted({record.label for record in listing.records} - set(listing.classes))
    if unknown and not problems:
        problems.append(f'{listing.root}: cells are labelled {some(unknown)}, expected {", ".join(listing.classes)}')
    problems += [
        f'{record.file}: its name is no UTF-8; rename it' for record in listing.records if not _is_utf8(record.file)
    ]
    notes, pixels, grey = defaultdict(list), defaultdict(list), []
    results = in_order(_decode(listing), listing.records)
    shown = progress_bar.each(results, 'checking the cells', len(listing.records), ' cells')
    for record, result in zip(listing.records, shown, strict=True):
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
    problems += _about_repeats(listing, list(pixels.values()))
    if problems:
        raise UserError(*problems)
    return [f'{some(files, 3)}: {note}' for note, files in notes.items()]


def _decode(listing: Listing) -> Callable[[Record], tuple[str, bool, bytes] | image.ImageError]:
    def decode(record: Record) -> tuple[str, bool, bytes] | image.ImageError:
        try:
            picture = listing.read(listing.root / record.file)
        except image.ImageError as error:
            return error
        digest = hashlib.sha256(repr(picture.pixels.shape).encode() + picture.pixels.tobytes()).digest()
        return picture.note, picture.grey, digest

    return decode


def _is_utf8(file: str) -> bool:
    try:
        file.encode()
    except UnicodeEncodeError:
        return False
    return True


def _about_grey(listing: Listing, grey: list[str]) -> list[str]:
    """Color is what a stain says. Some grey files among colored ones would also give their labels away."""
    if not grey or (listing.greyscale and len(grey) == len(listing.records)):
        return []
    remedy = 'greyscale, expected 24-bit RGB; replace it by the color image of the cell'
    return [f'{file}: is {remedy}' for file in grey[:SHOWN]] + _more(grey, 'grey files')


def _about_repeats(listing: Listing, alike: list[list[Record]]) -> list[str]:
    """Equal pixels under several names: a split could put the same cell on both sides."""
    conflicts, apart = [], []
    for same in alike:
        if len({record.label for record in same}) > 1:
            said = ', '.join(f'{record.file} ({record.label})' for record in same[:SHOWN])
            conflicts.append(f'{said}: hold the same pixels under different labels; keep the right one')
        elif len({record.group for record in same}) > 1 and not listing.audited:
            files = some([record.file for record in same])
            apart.append(
                f'{files}: hold the same pixels; delete all but one, or give them one group (in {listing.group_table})'
            )
    problems = conflicts[:SHOWN] + _more(conflicts, 'cells under different labels') + apart[:SHOWN]
    problems += _more(apart, 'sets of equal images')
    if apart and listing.reads_groups:
        problems[-1] += f'; alljax audit {listing.root} writes a groups.csv that keeps all repeats together'
    return problems


def _more(found: Sequence[object], things: str) -> list[str]:
    """A last line for what is not shown one by one."""
    return [f'and {len(found) - SHOWN} more {things}'] if len(found) > SHOWN else []
