"""A run folder and images to class probabilities, of a network or of a classical system."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from alljax.data import image_files, training_likeness
from alljax.data.class_folders import KnownCell
from alljax.errors import UserError
from alljax.evaluation import calibration
from alljax.evaluation.thumbnails import thumbnail
from alljax.runs import kinds, likeness, preparation
from alljax.runs.calibration import answer, possible
from alljax.runs.kind import Trained
from alljax.storage.card import Card
from alljax.storage.growing_file import GrowingFile, growing_file
from alljax.storage.text_files import csv_line

log = logging.getLogger(__name__)
BATCH = 28
UNLIKE = 'unlike the training cells'  # the answer in the place of a class
SET_FILES = 512  # at most, whose statistics stand for those of all
NONE_KNOWN: Mapping[Path, KnownCell] = MappingProxyType({})

Images = UInt8[np.ndarray, 'cells side side 3']
Probabilities = Callable[[Images, int], Float[np.ndarray, 'cells classes']]


class Row(NamedTuple):
    """One file's probabilities, or the reason why there are none."""

    file: str
    probabilities: Float[np.ndarray, ' classes'] | None
    note: str = ''  # what was converted while reading
    unlike: str = ''  # how it differs from the training cells; 'unknown' if the model does not say
    error: str = ''
    answer: str = ''  # of a calibrated model: a class, 'uncertain' or 'unlike the training cells'
    possible: tuple[str, ...] = ()  # of a calibrated model: the set of classes, the most probable first
    label: str = ''  # the class that the file's folder or a table names; '' where none does
    thumbnail: bytes = b''  # of the picture as the model takes it, a JPEG file; empty unless asked for

    @property
    def is_unlike(self) -> bool:
        """True for a picture that is unlike the training cells."""
        return self.unlike not in ('', training_likeness.UNKNOWN)


class Predictor(NamedTuple):
    """A trained network or a fitted classical system: what prediction needs of either."""

    classes: tuple[str, ...]
    card: Card
    probabilities: Probabilities
    adapt: Callable[[Images], 'Predictor'] | None = None  # to unlabelled images, if it was tested so
    score: likeness.Score | None = None  # of features, by which pictures are unlike the training cells
    trained: Trained = None  # what was loaded


def load(path: Path) -> Predictor:
    """The model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    kind = kinds.of_model(path)
    run = kind.load(path)

    def predictor(run: Trained) -> Predictor:
        score = likeness.score_of(kind, run, path)
        return Predictor(run.classes, run.card, kind.predictor(run), score=score, trained=run)

    adapt = (lambda images: predictor(kind.adapted(run, images))) if run.card.transductive else None
    return predictor(run)._replace(adapt=adapt)


def adapted(run: Predictor, files: Sequence[Path]) -> Predictor:
    """The model with the statistics of the images in these files, if it is one that was tested with those of its set.

    The set is the files, whatever slides they are of; of more than SET_FILES so many, evenly chosen, stand for all. One
    image is no sample: training's statistics stand for it. Either is told in the log.
    """
    if run.adapt is None:
        return run
    chosen = [files[place] for place in np.unique(np.linspace(0, len(files) - 1, SET_FILES).round().astype(int))]
    found = preparation.read(chosen, run.card)
    images = [file.pixels for file in found if isinstance(file, image_files.ImageFile)]
    if len(images) < 2:
        log.warning('the model was tested with the statistics of the %s that its images come from, and one image has '
                    'none: those of training stand for it', run.card.transductive)  # fmt: skip
        return run
    log.info('transductive: the statistics of these %d images, without labels, take the place of those of training',
             len(images))  # fmt: skip
    return run.adapt(np.stack(images))


def predict(
    run: Predictor,
    paths: Iterable[Path],
    batch_size: int = BATCH,
    known: Mapping[Path, KnownCell] = NONE_KNOWN,
    *,
    thumbnails: bool = False,
) -> Iterator[Row]:
    """One row for each image, in order; a file that cannot be read becomes a row with its error.

    A folder stands for every image in it and below. Rows of `known` files have their class, and all that can be read
    have small pictures if `thumbnails` are asked for.
    """
    files = image_files.files(paths)
    run = adapted(run, files)
    for start in range(0, len(files), batch_size):
        found = preparation.read(files[start : start + batch_size], run.card)
        good = [file.pixels for file in found if isinstance(file, image_files.ImageFile)]
        rows = iter(_rows(run, np.stack(good), batch_size) if good else ())
        for file in found:
            label = known[file.path].label if file.path in known else ''
            if isinstance(file, image_files.ImageFile):
                row = next(rows)._replace(
                    file=str(file.path), note=file.note, label=label,
                    thumbnail=thumbnail(file.pixels) if thumbnails else b'',
                )  # fmt: skip
                row = row._replace(unlike=_unlike(file, run.card, row.unlike))
                yield row._replace(answer=UNLIKE) if row.answer and row.is_unlike else row
            else:
                yield Row(str(file.path), None, error=file.error, label=label)


def _rows(run: Predictor, images: Images, batch_size: int) -> Iterator[Row]:
    """A row for each picture, with all that does not depend on its file."""
    shares, known, alike = run.probabilities(images, batch_size), run.card.calibration, run.card.likeness
    unlike = [''] * len(images)
    if run.score and alike:
        unlike = [likeness.words(value, alike) for value in run.score(images, batch_size)]
    if known is None:
        yield from (Row('', row, unlike=words) for row, words in zip(shares, unlike, strict=True))
        return
    said = calibration.applied(shares, known)
    for row, certain, within, words in zip(said.probabilities, said.certain, said.sets, unlike, strict=True):
        sure, possibly = answer(row, certain, run.classes), possible(row, within, run.classes)
        yield Row('', row, unlike=words, answer=sure, possible=possibly)


def _unlike(file: image_files.ImageFile, card: Card, by_features: str) -> str:
    """The ways in which a picture is unlike the training cells; '' also for a model of photographs of anything."""
    found = '' if card.photograph else training_likeness.reasons(file.pixels, file.size, card.pictures)
    if by_features:
        return '; '.join(words for words in (found, by_features) if words not in ('', training_likeness.UNKNOWN))
    return found


class Table(NamedTuple):
    """A CSV file of rows, one line an image, which grows as they come."""

    file: GrowingFile
    classes: tuple[str, ...]
    calibrated: bool
    labelled: bool

    def add(self, row: Row) -> None:
        """Adds the line of a row; UserError if it cannot be written."""
        shares = row.probabilities
        prediction = '' if shares is None else self.classes[shares.argmax()]
        numbers = [''] * len(self.classes) if shares is None else [f'{share:.6f}' for share in shares]
        certainty = [row.answer, '|'.join(row.possible)] if self.calibrated else []
        label = [row.label] if self.labelled else []
        self.add_values([row.file, *label, prediction, *numbers, row.note, row.unlike, row.error, *certainty])

    def add_values(self, values: list[str]) -> None:
        """Adds a line of as many values as the table has columns."""
        with _telling(self.file.path):
            self.file.add(csv_line(values, end='\r\n'))


@contextmanager
def csv_table(
    path: Path, classes: tuple[str, ...], *, calibrated: bool = False, labelled: bool = False
) -> Iterator[Table]:
    """A table that grows as FILE.part and becomes `path` at the end of the `with`; UserError if that cannot be.

    That of a `calibrated` model has the columns `answer` and `set`, too, and a `labelled` one the column `label`.
    """
    with ExitStack() as stack:
        with _telling(path):
            table = Table(stack.enter_context(growing_file(path)), classes, calibrated, labelled)
        shares = [f'probability_{name}' for name in classes]
        certainty = ['answer', 'set'] if calibrated else []
        label = ['label'] if labelled else []
        table.add_values(['file', *label, 'prediction', *shares, 'note', 'unlike', 'error', *certainty])
        yield table


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f'--csv {path}: cannot be written ({error.strerror}); name another file') from None


def in_words(possible: Sequence[str], classes: Sequence[str]) -> str:
    """The set of classes of an uncertain answer: 'A or B', or 'any class'."""
    if len(possible) == 1:
        return f'probably {possible[0]}'
    return 'any class' if len(possible) == len(classes) > 2 else ' or '.join(possible)
