"""The files of a folder by one set of rules, the same for training, prediction, audit and measurement.

Hidden files and those of other programs are skipped at every level, links are followed once, and what is no regular
file is never opened. Whatever is left out is named with the reason.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data import image
from alljax.errors import some

TOOLS = frozenset(
    {
        '$recycle.bin',
        '#recycle',
        '#snapshot',
        '@eadir',
        '__macosx',
        '__pycache__',
        'desktop.ini',
        'ehthumbs.db',
        'icon\r',
        'lost+found',
        'recycler',
        'system volume information',
        'thumbs.db',
    }
)
HIDDEN = 'hidden, or made by another program'
MASKS = 'a mask or an annotation, not a picture of a cell'
MASK_WORDS = r'(?:masks?|gt|ground[ _-]?truth|seg|segm|segmentation|segmented|labels?|annotations?|annotated|overlay)'
MASK_NAME = re.compile(rf'(.+?)[ _.-]+{MASK_WORDS}[ _-]?\d*|{MASK_WORDS}[ _.-]+(.+)', re.IGNORECASE)
MASK_FOLDER = re.compile(r'masks?|gt|ground ?truth|seg|segmentations?|(segmentation )?masks?|annotations?|labels?')
LOOKED_AT = 8  # files of a folder that may be one of masks
GLIMPSED, DEEP, FOLDERS = 32, 5, 200  # files of a folder, levels and folders at which `glimpse` looks


class LeftOut(NamedTuple):
    """A file or folder that is not taken."""

    file: str  # relative to the root, '/' between folders
    reason: str


class FolderContents(NamedTuple):
    """All that is in a folder and below, relative to it, '/' between folders, in the order of the names."""

    files: tuple[str, ...]  # regular ones, or links to such
    folders: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...]  # folders of which nobody can say what they hold


def walk(root: Path) -> FolderContents:
    """The contents of a folder and of all below it; nothing is opened but folders."""
    files: list[str] = []
    folders: list[str] = []
    left_out: list[LeftOut] = []
    unreadable: list[LeftOut] = []
    above = {_identity(path) for path in (root.resolve(), *root.resolve().parents)}
    visited: set[tuple[int, int]] = set()
    waiting, links = [''], list[str]()  # links are followed last, so that a folder goes by its own name
    while waiting or links:
        place = waiting.pop() if waiting else links.pop(0)
        try:
            identity = _identity(root / place)
            if identity in visited or (place and identity in above):
                left_out.append(LeftOut(place, 'a link to a folder that is read already'))
                continue
            visited.add(identity)
            entries = sorted(os.scandir(root / place), key=lambda entry: entry.name)
        except OSError as error:
            unreadable.append(LeftOut(place or '.', f'cannot be opened ({error.strerror})'))
            continue
        if place:
            folders.append(place)
        for entry in entries:
            name = f'{place}/{entry.name}' if place else entry.name
            if is_hidden(entry.name):
                left_out.append(LeftOut(name, HIDDEN))
            elif _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(name)
            elif reason := _not_regular(entry):
                left_out.append(LeftOut(name, reason))
            else:
                files.append(name)
    return FolderContents(
        tuple(sorted(files, key=_parts)), tuple(sorted(folders, key=_parts)), tuple(sorted(left_out)), tuple(unreadable)
    )


def glimpse(root: Path) -> tuple[str, ...]:
    """The names of some files of each folder in `root` and below, '/' between folders: enough to know a layout by.

    At most GLIMPSED files of a folder, FOLDERS folders and DEEP levels, so that a set of any size takes no time. A
    folder that cannot be opened has none.
    """
    found: list[str] = []
    waiting = ['']
    for place in waiting:  # which grows
        level = place.count('/') + bool(place)
        seen = 0
        try:
            with os.scandir(root / place) as entries:
                for entry in entries:
                    name = f'{place}/{entry.name}' if place else entry.name
                    if is_hidden(entry.name):
                        continue
                    if _is_folder(entry):
                        waiting += [name] * (level < DEEP and len(waiting) < FOLDERS)
                    elif (seen := seen + 1) <= GLIMPSED:
                        found.append(name)
                    elif seen > 50 * GLIMPSED:
                        break
        except OSError:
            continue
    return tuple(sorted(found, key=_parts))


def images(root: Path, contents: FolderContents) -> tuple[list[str], list[LeftOut]]:
    """The image files by their suffix, and the masks and annotations that lie beside them.

    A mask bears the name of an image and a word for it ('x_mask.png' beside 'x.png'), is a PNG file of grey levels with
    the name of a picture in another format, or is in a folder of masks: one that is called so, and whose pictures have
    the names of pictures elsewhere or no colors. Where there is nothing else, it is taken.
    """
    found = [file for file in contents.files if is_image(file)]
    inside = _in_mask_folders(root, found)
    kept = [file for file in found if file not in inside]
    formats: dict[str, set[str]] = {}  # of each name without its suffix
    for file in kept:
        stem, suffix = os.path.splitext(file)
        formats.setdefault(stem.lower(), set()).add(suffix.lower())
    masks = inside | {file for file in kept if _is_mask(root, file, formats)}
    return [file for file in kept if file not in masks], [LeftOut(file, MASKS) for file in sorted(masks)]


def is_image(file: str | Path) -> bool:
    """True for a name that ends like those of the image formats that are read."""
    return os.path.splitext(file)[1].lower() in image.SUFFIXES


def is_hidden(name: str) -> bool:
    """True for files and folders that their owner does not see, or that other programs leave."""
    return name.startswith(('.', '~$')) or name.lower() in TOOLS


def visible(path: Path) -> list[Path]:
    """Files and folders in a folder, sorted, without hidden ones and the marks that other programs leave."""
    return sorted(p for p in path.iterdir() if not is_hidden(p.name))


def notes(left_out: Iterable[LeftOut]) -> list[str]:
    """A sentence for each reason, which names the first files that it is about."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in left_out:
        by_reason.setdefault(reason, []).append(file)
    return [f'{some(files, 4)}: left out ({reason})' for reason, files in by_reason.items()]


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _parts(name: str) -> list[str]:
    return name.split('/')


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _not_regular(entry: os.DirEntry[str]) -> str:
    """The reason why something is no file to read; '' for a regular file."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return f'a link that leads nowhere ({error.strerror})' if entry.is_symlink() else f'{error.strerror}'
    return image.not_regular(mode)


def _in_mask_folders(root: Path, files: Iterable[str]) -> set[str]:
    """The files of folders that are called masks and hold some; a class may be called SEG, after segmented cells."""
    folders: dict[str, list[str]] = {}  # '' for all others
    for file in files:
        parts = file.split('/')[:-1]
        depth = next((depth for depth, name in enumerate(parts, 1) if _is_mask_folder(name)), 0)
        folders.setdefault('/'.join(parts[:depth]), []).append(file)
    others = folders.pop('', [])
    pictures = {pictured(file) for file in others} if folders else set()
    return {
        file
        for inside in folders.values()
        if pictures
        and (2 * sum(pictured(file) in pictures for file in inside) > len(inside) or _have_levels_only(root, inside))
        for file in inside
    }


def pictured(file: str) -> str:
    """The name of the picture that a file of this name shows, be it a mask of it."""
    name = os.path.splitext(file.rpartition('/')[2])[0].lower()
    return _mask_of(name) or name


def _mask_of(name: str) -> str:
    """The name of the picture that a mask is of, by the mask's; '' for a name without a word for masks."""
    match = MASK_NAME.fullmatch(name)
    return (match[1] or match[2]) if match else ''


def _have_levels_only(root: Path, files: Sequence[str]) -> bool:
    return all(image.has_levels_only(root / file) for file in files[:LOOKED_AT])


def _is_mask_folder(name: str) -> bool:
    return bool(MASK_FOLDER.fullmatch(re.sub(r'[ _-]+', ' ', name).strip().lower()))


def _is_mask(root: Path, file: str, formats: dict[str, set[str]]) -> bool:
    stem, suffix = os.path.splitext(file)
    if suffix.lower() == '.png' and len(formats[stem.lower()]) > 1 and image.has_levels_only(root / file):
        return True
    folder, _, name = stem.rpartition('/')
    of = _mask_of(name)
    return bool(of) and (f'{folder}/{of}' if folder else of).lower() in formats
