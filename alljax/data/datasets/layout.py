"""Class folders, told from folders that mean something else: sides of a split, versions of pictures, misspelt twins."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alljax.data.cells import Side
from alljax.errors import some

Tree = Mapping[str, Any]  # folder → the folders in it that hold images at any depth

SIDES = frozenset(
    {'cv', 'fold', 'folds', 'holdout', 'split', 'splits', 'test', 'testing', 'testset', 'train', 'training', 'trainset'}
    | {'val', 'valid', 'validation', 'valset', 'validationset', 'dev', 'devset', 'eval', 'evaluation', 'unlabeled'}
)
TRAINING = frozenset({'train', 'training', 'trainset'})
TESTING = frozenset({'holdout', 'test', 'testing', 'testset'})
VALIDATION = frozenset({'dev', 'devset', 'eval', 'evaluation', 'val', 'valid', 'validation', 'validationset', 'valset'})
WEAK_SIDES = frozenset({'valid', 'dev', 'eval', 'unlabeled'})  # which could be classes, unless another is a side
VERSIONS = frozenset(
    {'augmented', 'color', 'cropped', 'denoised', 'gray', 'grayscale', 'grey', 'normalized', 'original', 'originals'}
    | {'preprocessed', 'processed', 'raw', 'resized', 'segmented', 'unprocessed'}
)
THUMBNAILS = frozenset({'preview', 'previews', 'thumb', 'thumbnail', 'thumbnails', 'thumbs'})  # of any class
# Sets, slides, patients and places, numbered or with a letter.
UNIT = re.compile(
    r'(animal|batch|camera|case|cent(er|re)|clinic|cohort|dataset|donor|field|fov|hospital|id|institut(e|ion)'
    r'|lab(oratory)?|microscope|mouse|part|patient|phase|pid|plate|round|run|sample|scan|scanner|series|session|set|site'
    r'|slide|smear|specimen|subject|subset|uid|visit|well)[ _.-]*(\d+|[a-z])'
    r'|(p|pt|pat|s|sl|subj)[ _.-]*0\d+|\d+[ _.-]*x|(19|20)\d\d([ _.-]?\d\d){0,2}'
)
# As file managers and people name a copy: 'blast - Copy (2)', 'blast copy', 'blast (1)', 'Copy of blast', 'blast_old'.
COPY = re.compile(
    r'( -)?[ _]+copy( ?\(?\d+\)?)?$|[ _]*\(\d+\)$|[ _.-]+(old|bak|backup)$|^copy[ _]*(\(\d+\)[ _]*)?of[ _]+'
)


def tree(files: Iterable[str]) -> Tree:
    """The folders of files, nested as they are on disk."""
    top: dict[str, dict] = {}
    for file in files:
        place = top
        for folder in file.split('/')[:-1]:
            place = place.setdefault(folder, {})
    return top


def sides(names: Iterable[str]) -> dict[str, Side]:
    """The side of a split for each of the folders, if each is called as one and there is one to train and to test.

    None for any other folders, and where a name says several sides.
    """
    words: dict[Side, frozenset[str]] = {'train': TRAINING, 'validation': VALIDATION, 'test': TESTING}
    told = {name: [side for side, known in words.items() if _words(name) & known] for name in names}
    if not all(len(said) == 1 for said in told.values()):
        return {}
    found = {name: said[0] for name, said in told.items()}
    return found if {'train', 'test'} <= set(found.values()) else {}


def problems(root: Path, files: Sequence[str], table: str) -> list[str]:
    """Sentences on why the outer folders of images are no classes; `table` is the one that can say what they are."""
    level = tree(files)
    inner = _class_root(root, level)
    reason = _no_classes(level)
    if len(level) == 1 and inner:
        reason = reason or f'holds one folder only ({next(iter(level))})'
    table = f'label every image in {root / table} (file,label,group)'
    if sides(level):
        table = f'have the sides read as they are with --config.data.name=split_folders, or {table}'
    if not reason:
        return [f'{root}: {said}; move it away, or {table}' for said in _folders_twice(level)]
    there = f'name the folder whose folders are the classes (--config.data.root={inner})' if inner else ''
    return [f'{root}: {reason}; {f"{there}, or {table}" if there else table}']


def twins(root: Path, labels: Iterable[str], table: str) -> list[str]:
    """A sentence for each set of classes that differ in case, spaces, the encoding of accents or "Copy" only."""
    alike: dict[str, list[str]] = {}
    every = sorted(set(labels))
    known = {plain(label) for label in every}
    for label in every:
        copied = plain(COPY.sub('', _folded(label)))
        alike.setdefault(copied if copied in known else plain(label), []).append(label)
    return [
        f'{root}: the classes {" and ".join(map(repr, same))} differ in case, spaces, accents or the mark of a copy '
        f'only; put them into one folder, or give them one label in {table}'
        for same in alike.values()
        if len(same) > 1
    ]


def _folded(label: str) -> str:
    return unicodedata.normalize('NFKC', label).casefold().strip()


def same_names(files: Iterable[str]) -> list[str]:
    """A sentence for each set of files whose names differ in the encoding of accents only: no table can tell them."""
    alike: dict[str, list[str]] = {}
    for file in files:
        alike.setdefault(unicodedata.normalize('NFC', file), []).append(file)
    return [
        f'{" and ".join(map(ascii, same))} are one name, with its accents encoded in two ways; rename or delete one'
        for same in alike.values()
        if len(same) > 1
    ]


def plain(label: str) -> str:
    """A class name without what people write in several ways: case, spaces, hyphens and the encoding of accents."""
    return re.sub(r'[\s_-]+', ' ', unicodedata.normalize('NFKC', label).casefold()).strip()


def _no_classes(level: Tree) -> str:
    """The reason why the folders of a level are no classes; '' if they may be some."""
    names = list(level)
    sides = [name for name in names if _words(name) & SIDES]
    if any(_words(name) & (SIDES - WEAK_SIDES) for name in sides) or len(sides) > 1:
        return f'{some(sides, 4)} {"look" if len(sides) > 1 else "looks"} like a side of a split, not like a class'
    if len(names) > 1 and all(_words(name) & (VERSIONS | THUMBNAILS) for name in names):
        return f'{some(names, 4)} look like versions of the same pictures, not like classes'
    if small := [name for name in names if _words(name) <= THUMBNAILS and _words(name)]:
        looks = 'look' if len(small) > 1 else 'looks'
        return f'{some(small, 4)} {looks} like smaller versions of pictures, not like a class'
    if len(names) > 1 and all(UNIT.fullmatch(name.lower()) for name in names):
        return f'{some(names, 4)} look like sets, slides or patients, not like classes'
    if len(names) == 1:
        inner = list(level[names[0]])
        return f'holds one folder only ({names[0]}), and in it {some(inner, 4)}' if len(inner) > 1 else ''
    shared = _shared(level)
    if shared:
        return f'{some(names, 4)} hold the same folders ({some(shared, 4)}), so either may be the classes'
    return ''


def _folders_twice(level: Tree) -> list[str]:
    """A sentence for each folder that holds folders named like those beside it, as a backup does."""
    return [
        f'{name} holds {some(again, 4)}, which are also beside it, so it is no class'
        for name, inner in level.items()
        if (again := sorted({*inner} & ({*level} - {name})))
    ]


def _shared(level: Tree) -> list[str]:
    """The names of folders that repeat in several folders of a level, if these are most of what it holds."""
    inner = [set(names) for names in level.values() if names]
    if not inner:
        return []
    every = set().union(*inner)
    shared = {name for name in every if sum(name in names for names in inner) > 1}
    return sorted(shared) if len(shared) > 1 and 2 * len(shared) >= len(every) else []


def _class_root(place: Path, level: Tree) -> Path | None:
    """The first folder, from above, whose folders may be classes; None if there is none."""
    if len(level) > 1 and not _no_classes(level):
        return place
    order = sorted(level, key=lambda name: (not _words(name) & TRAINING, name))
    return next((found for name in order if (found := _class_root(place / name, level[name]))), None)


def _words(name: str) -> set[str]:
    """The words of a name: 'C-NMC_trainingData2' is c, nmc, training, data."""
    parted = re.sub(r'([a-z])([A-Z])', r'\1 \2', unicodedata.normalize('NFKC', name))
    return set(re.split(r'[^a-z]+', parted.lower())) - {''}
