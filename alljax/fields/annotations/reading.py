"""A folder of fields and their annotations, in whichever format, as marks, with every problem told."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data import folder_walk, image
from alljax.data.datasets.listing import existing_folder
from alljax.errors import UserError, some
from alljax.fields.annotations import label_choice, recognition
from alljax.fields.annotations.annotation_file import AnnotationError, AnnotationFile, Marked
from alljax.fields.annotations.formats import FORMATS
from alljax.fields.annotations.mark_checks import checked
from alljax.fields.annotations.picture_lookup import Pictures, by_stem, pictures_called
from alljax.fields.boxes import Marks
from alljax.fields.field_image import SLIDES, head, open_field


class Annotations(NamedTuple):
    """The annotated fields of a folder."""

    root: Path
    format: str  # one of FORMATS
    fields: tuple[str, ...]  # every picture, relative to the root
    marks: tuple[Marks, ...]  # of the annotated ones among them; a field may have no cells
    problems: tuple[str, ...]  # sentences about what is left out of `marks`
    notes: tuple[str, ...] = ()

    def labels(self) -> dict[str, int]:
        """The cells of each label, the most frequent first; '' for those without one."""
        return _counted(marks.labels for marks in self.marks)


class _Found(NamedTuple):
    """The marks that one file has for one picture."""

    source: AnnotationFile
    field: str
    marked: Marked


def read(root: Path, labels: Sequence[str] = (), name: str = 'auto', flag: str = 'FIELDS') -> Annotations:
    """The marks of all fields in a folder and below, of cells with one of the `labels`, in whatever case.

    Without `labels` all but red cells and platelets are taken. `name` is one of FORMATS, or 'auto' for what is found.
    UserError for a folder without pictures or annotations, for several formats among which `name` has to choose, and
    for a label that no cell has.
    """
    root = existing_folder(root, flag)
    contents = folder_walk.walk(root)
    pictures_there, _ = folder_walk.images(root, contents)
    slides = [file for file in contents.files if Path(file).suffix.lower() in SLIDES]
    fields = sorted([*pictures_there, *slides], key=lambda file: file.split('/'))
    if not fields:
        raise UserError(f'{root}: holds no pictures that are read (TIFF, PNG, JPEG, …, whole slides); correct {flag}')
    pictures = by_stem(fields)
    chosen, files, strange = recognition.annotation_files(root, contents.files, pictures, name)
    found, problems, notes = _found(files, chosen, pictures)
    problems = [
        *(f'{root / left.file}: {left.reason}' for left in contents.unreadable),
        *(
            f'{root / file}: is called like a picture, but is no {chosen}; correct it, or move it away'
            for file in strange
        ),
        *problems,
    ]
    there = _counted(entry.marked.labels for entry in found)
    taken = label_choice.wanted(labels, there)
    if not labels and (others := label_choice.left_out(taken, there)):
        notes.append(f'left out, as no white cells: {others}; --label takes them')
    marks, more = _usable(root, [entry._replace(marked=label_choice.only(entry.marked, taken)) for entry in found])
    if turned := [one.field for one in marks if len(one.centers) and _is_turned(root / one.field)]:
        notes.append(
            f'{some(turned, 4)}: turned or mirrored by an orientation tag (EXIF); the marks are taken to be of the '
            'picture as it is seen. If they were made on the pixels as they are stored, mark these again'
        )
    without = sorted(set(fields) - {entry.field for entry in found})
    if without:
        notes.append(f'{some(without, 4)}: without annotations that are used')
    return Annotations(root, chosen, tuple(fields), tuple(marks), (*problems, *more), tuple(notes))


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as it is seen, from its head alone where that says; ImageError for no picture."""
    if path.suffix.lower() not in SLIDES and (found := head(path)):
        return found.size
    field = open_field(path)  # says what is wrong, or reads what Pillow cannot
    return field.width, field.height


def _is_turned(path: Path) -> bool:
    found = head(path)
    return bool(found and found.is_turned)


def _counted(labels: Iterable[tuple[str, ...]]) -> dict[str, int]:
    return dict(Counter(label for those in labels for label in those).most_common())


def _found(files: Sequence[AnnotationFile], name: str, pictures: Pictures) -> tuple[list[_Found], list[str], list[str]]:
    """The marks that the files have for each picture, the problems, and the notes."""
    found: dict[str, _Found] = {}
    problems, notes = [], []
    for file in files:
        try:
            every = FORMATS[name].read(file)
        except AnnotationError as error:
            problems += [f'{file.path}: {said}' for said in error.args]
            continue
        for marked in every:
            field, problem, note = _picture(marked, file, name, pictures)
            notes += [f'{file.file}: {note}'] if note else []
            if field in found:
                problem = f'marks {field}, as {found[field].source.file} does; keep one of them'
            if problem:
                problems.append(f'{file.path}: {problem}')
            else:
                found[field] = _Found(file, field, marked)
    return sorted(found.values(), key=lambda entry: entry.field.split('/')), problems, notes


def _usable(root: Path, found: Sequence[_Found]) -> tuple[list[Marks], list[str]]:
    """The marks that fit their pictures, and sentences about all others."""
    marks, problems = [], []
    for source, field, marked in found:
        try:
            size = picture_size(root / field)
        except image.ImageError as error:
            problems.append(f'{root / field}: {error}')
            continue
        usable = checked(marked, field, size)
        if isinstance(usable, str):
            problems.append(f'{source.path}: {usable}')
            continue
        problems += [f'{source.path}: {said}' for said in usable.problems]
        marks.append(usable.marks)
    return marks, problems


def _picture(marked: Marked, file: AnnotationFile, name: str, pictures: Pictures) -> tuple[str, str, str]:
    """The picture that marks are about, or else a problem; and a note, where the file names a picture that is not."""
    beside = FORMATS[name].beside
    own = pictures_called(file.file.rpartition('.')[0], file.file, pictures) if beside else ()
    said = pictures_called(marked.field, file.file, pictures) if marked.field else own
    if beside and len(own) == 1 and len(said) == 1 and own != said:
        return '', f'names {marked.field}, but is called like {own[0]}; correct the one or the other', ''
    found, note = said, ''
    if not said and own:
        found, note = own, f'names {marked.field}, which is not there; taken for {own[0]}, which it is called like'
    if len(found) == 1:
        return found[0], '', note
    about = marked.field or file.file.rpartition('/')[2]
    if not found:
        return '', f'is about {about}, of which there is no picture; add it, or delete the marks', ''
    return '', f'is about {about}, of which there are several ({some([*found], 3)}); rename or delete some', ''
