"""The annotation files of a folder by format, told by what they hold, and the format that is meant."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.errors import UserError, nearest, some
from alljax.fields.annotations.annotation_file import AnnotationFile
from alljax.fields.annotations.formats import FORMATS
from alljax.fields.annotations.picture_lookup import Pictures, pictures_called
from alljax.fields.annotations.text_encoding import decoded

LARGEST = 1 << 30  # bytes of an annotation file: COCO's largest has half of that


class Recognized(NamedTuple):
    """The annotations of a folder."""

    format: str  # one of FORMATS
    files: list[AnnotationFile]
    strange: list[str]  # files that are named like those, and like pictures, but are in no format that is read


def annotation_files(root: Path, files: Sequence[str], pictures: Pictures, name: str) -> Recognized:
    """The annotations of a folder in the format that is meant, `name` unless that is 'auto'.

    Boxes are taken rather than centers where both are there. UserError without annotations, for an unknown name, and
    for boxes in several formats, among which `name` has to choose.
    """
    if name != 'auto' and name not in FORMATS:
        raise UserError(f'--format {name}: is no format{nearest(name, FORMATS)}; it may be auto, {some([*FORMATS])}')
    found: dict[str, list[AnnotationFile]] = {}
    strange: list[str] = []
    for file in _texts(root, files):
        forms = _formats_of(file, pictures)
        for form in forms:
            found.setdefault(form, []).append(file)
        strange += [file.file] if not forms and _is_named_like_a_picture(file, pictures) else []
    chosen = name if name != 'auto' else _chosen(root, found, strange)
    if chosen not in found:
        there = f'what it has is in {some([*found])}' if found else 'it has none in any other'
        raise UserError(f'{root}: holds no annotations in the format {chosen}; {there}')
    return Recognized(
        chosen, found[chosen], [file for file in strange if file.lower().endswith(FORMATS[chosen].suffixes)]
    )


def _texts(root: Path, files: Sequence[str]) -> Iterator[AnnotationFile]:
    """The files that could be annotations, by their suffix, and are text."""
    suffixes = tuple({suffix for form in FORMATS.values() for suffix in form.suffixes})
    for file in files:
        path = root / file
        if file.lower().endswith(suffixes) and path.stat().st_size <= LARGEST:
            text = decoded(path.read_bytes())
            if text is not None:
                yield AnnotationFile(root, file, text)


def _formats_of(file: AnnotationFile, pictures: Pictures) -> list[str]:
    """The format of a file; all that it could be of for an empty one that is called like a picture; none for others."""
    possible = [name for name, form in FORMATS.items() if file.file.lower().endswith(form.suffixes)]
    if file.text.strip():
        return [name for name in possible if FORMATS[name].recognize(file.text)][:1]
    return [name for name in possible if FORMATS[name].beside and _is_named_like_a_picture(file, pictures)]


def _is_named_like_a_picture(file: AnnotationFile, pictures: Pictures) -> bool:
    return bool(pictures_called(file.file.rpartition('.')[0], file.file, pictures))


def _chosen(root: Path, found: dict[str, list[AnnotationFile]], strange: list[str]) -> str:
    """The format of a folder: that of its boxes, else that of its centers."""
    if not found:
        known = [f'{name} ({", ".join(form.suffixes)})' for name, form in FORMATS.items()]
        fix = 'put them beside the pictures, or in a folder beside theirs'
        fix = f'{some(strange, 3)}, called like pictures, are in none of them; correct these' if strange else fix
        raise UserError(f'{root}: holds no annotations in a format that is read: {some(known)}; {fix}')
    # An empty file says nothing of its format, unless there is nothing else.
    telling = {name: files for name, files in found.items() if any(file.text.strip() for file in files)} or found
    best = [name for name in FORMATS if name in telling and FORMATS[name].boxes] or [*telling]
    if len(best) > 1:
        counts = [f'{name} ({some([file.file for file in telling[name]], 2)})' for name in best]
        raise UserError(
            f'{root}: holds annotations in {len(best)} formats, {some(counts)}; choose with --format {best[0]}'
        )
    return best[0]
