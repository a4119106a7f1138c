"""A run folder and images to class probabilities, of a network or of a classical system."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from alljax.data import image_files, training_likeness
from alljax.errors import UserError
from alljax.evaluation import calibration
from alljax.runs import kinds, preparation
from alljax.runs.calibration import answer, possible
from alljax.storage.card import Card
from alljax.storage.growing_file import GrowingFile, growing_file
from alljax.storage.text_files import csv_line

log = logging.getLogger(__name__)
BATCH = 28
UNLIKE = 'unlike the training cells'  # the answer in the place of a class
SET_FILES = 512  # at most, whose statistics stand for those of all

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

    @property
    def is_unlike(self) -> bool:
        """True for a picture that is unlike the training cells."""
        return self.unlike not in ('', training_likeness.UNKNOWN)


class Predictor(NamedTuple):
    """A trained network or a fitted classical system: what prediction needs of either."""

    classes: tuple[str, ...]
    card: Card
    probabilities: Probabilities
    adapt: Callable[[Images], Probabilities] | None = None  # to unlabelled images, if it was tested so


def load(path: Path) -> Predictor:
    """The model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    kind = kinds.of_model(path)
    run = kind.load(path)
    adapt = (lambda images: kind.predictor(kind.adapted(run, images))) if run.card.transductive else None
    return Predictor(run.classes, run.card, kind.predictor(run), adapt)


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
    return run._replace(probabilities=run.adapt(np.stack(images)))


def predict(run: Predictor, paths: Iterable[Path], batch_size: int = BATCH) -> Iterator[Row]:
    """One row for each image, in order; a file that cannot be read becomes a row with its error.

    A folder stands for every image in it and below.
    """
    files = image_files.files(paths)
    run = adapted(run, files)
    for start in range(0, len(files), batch_size):
        found = preparation.read(files[start : start + batch_size], run.card)
        good = [file.pixels for file in found if isinstance(file, image_files.ImageFile)]
        rows = iter(_rows(run, np.stack(good), batch_size) if good else ())
        for file in found:
            if isinstance(file, image_files.ImageFile):
                row = next(rows)._replace(file=str(file.path), note=file.note, unlike=_unlike(file, run.card))
                yield row._replace(answer=UNLIKE) if row.answer and row.is_unlike else row
            else:
                yield Row(str(file.path), None, error=file.error)


def _rows(run: Predictor, images: Images, batch_size: int) -> Iterator[Row]:
    """A row for each picture, with all that does not depend on its file."""
    shares, known = run.probabilities(images, batch_size), run.card.calibration
    if known is None:
        yield from (Row('', row) for row in shares)
        return
    said = calibration.applied(shares, known)
    for row, certain, within in zip(said.probabilities, said.certain, said.sets, strict=True):
        yield Row('', row, answer=answer(row, certain, run.classes), possible=possible(row, within, run.classes))


def _unlike(file: image_files.ImageFile, card: Card) -> str:
    """The ways in which a picture is unlike the training cells; '' also for a model of photographs of anything."""
    return '' if card.photograph else training_likeness.reasons(file.pixels, file.size, card.pictures)


class Table(NamedTuple):
    """A CSV file of rows, one line an image, which grows as they come."""

    file: GrowingFile
    classes: tuple[str, ...]
    calibrated: bool

    def add(self, row: Row) -> None:
        """Adds the line of a row; UserError if it cannot be written."""
        shares = row.probabilities
        prediction = '' if shares is None else self.classes[shares.argmax()]
        numbers = [''] * len(self.classes) if shares is None else [f'{share:.6f}' for share in shares]
        certainty = [row.answer, '|'.join(row.possible)] if self.calibrated else []
        self.add_values([row.file, prediction, *numbers, row.note, row.unlike, row.error, *certainty])

    def add_values(self, values: list[str]) -> None:
        """Adds a line of as many values as the table has columns."""
        with _telling(self.file.path):
            self.file.add(csv_line(values, end='\r\n'))


@contextmanager
def csv_table(path: Path, classes: tuple[str, ...], *, calibrated: bool = False) -> Iterator[Table]:
    """A table that grows as FILE.part and becomes `path` at the end of the `with`; UserError if that cannot be.

    That of a `calibrated` model has the columns `answer` and `set`, too.
    """
    with ExitStack() as stack:
        with _telling(path):
            table = Table(stack.enter_context(growing_file(path)), classes, calibrated)
        shares = [f'probability_{name}' for name in classes]
        certainty = ['answer', 'set'] if calibrated else []
        table.add_values(['file', 'prediction', *shares, 'note', 'unlike', 'error', *certainty])
        yield table


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f'--csv {path}: cannot be written ({error.strerror}); name another file') from None
