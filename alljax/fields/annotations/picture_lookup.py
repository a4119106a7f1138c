"""The picture that an annotation is about, found by name among the pictures of a folder."""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from alljax.fields import field_image

Pictures = Mapping[str, tuple[str, ...]]  # name without folder and suffix, in one form → the pictures called so


def by_stem(pictures: Iterable[str]) -> Pictures:
    """The pictures under the names by which `pictures_called` looks them up."""
    found: dict[str, list[str]] = {}
    for file in pictures:
        found.setdefault(_stem(file), []).append(file)
    return {stem: tuple(files) for stem, files in found.items()}


def pictures_called(name: str, annotation: str, pictures: Pictures) -> tuple[str, ...]:
    """The pictures that a name may mean: one where it is clear, none, or several between which nobody can choose.

    The name may have folders, of another machine, too, or no suffix. Of several pictures of a name, the one of the same
    suffix, then the one with most of the name's last folders, then the one in the folder of the `annotation` is meant.
    """
    said = PurePosixPath(_form(name.replace('\\', '/')))
    where = PurePosixPath(_form(annotation)).parent
    named = pictures.get(_stem(str(said)), ())
    same = tuple(file for file in named if PurePosixPath(_form(file)).name == said.name)
    candidates = same or named
    if len(candidates) < 2:
        return candidates
    ranks = {file: _rank(PurePosixPath(_form(file)), said, where) for file in candidates}
    best = max(ranks.values())
    return tuple(file for file in candidates if ranks[file] == best)


def _rank(file: PurePosixPath, said: PurePosixPath, where: PurePosixPath) -> tuple[int, bool]:
    common = 0
    for own, other in zip(reversed(file.parts[:-1]), reversed(said.parts[:-1]), strict=False):
        if own != other:
            break
        common += 1
    return common, file.parent == where


def _form(name: str) -> str:
    return unicodedata.normalize('NFC', name).casefold()


def _stem(file: str) -> str:
    name = _form(file).rpartition('/')[2]
    stem, dot, suffix = name.rpartition('.')
    return stem if dot and f'.{suffix}' in field_image.SUFFIXES else name
