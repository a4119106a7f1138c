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
from alljax.runs import kinds, preparation
from alljax.storage.card import Card
from alljax.storage.growing_file import GrowingFile, growing_file
from alljax.storage.text_files import csv_line

log = logging.getLogger(__name__)
BATCH = 28
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
        rows = iter(run.probabilities(np.stack(good), batch_size) if good else ())
        for file in found:
            if isinstance(file, image_files.ImageFile):
                yield Row(str(file.path), next(rows), note=file.note, unlike=_unlike(file, run.card))
            else:
                yield Row(str(file.path), None, error=file.error)


def _unlike(file: image_files.ImageFile, card: Card) -> str:
    """The ways in which a picture is unlike the training cells; '' also for a model of photographs of anything."""
    return '' if card.photograph else training_likeness.reasons(file.pixels, file.size, card.pictures)


class Table(NamedTuple):
    """A CSV file of rows, one line an image, which grows as they come."""

    file: GrowingFile
    classes: tuple[str, ...]

    def add(self, row: Row) -> None:
        """Adds the line of a row; UserError if it cannot be written."""
        shares = row.probabilities
        prediction = '' if shares is None else self.classes[shares.argmax()]
        numbers = [''] * len(self.classes) if shares is None else [f'{share:.6f}' for share in shares]
        self.add_values([row.file, prediction, *numbers, row.note, row.unlike, row.error])

    def add_values(self, values: list[str]) -> None:
        """Adds a line of as many values as the table has columns."""
        with _telling(self.file.path):
            self.file.add(csv_line(values, end='\r\n'))


@contextmanager
def csv_table(path: Path, classes: tuple[str, ...]) -> Iterator[Table]:
    """A table that grows as FILE.part and becomes `path` at the end of the `with`; UserError if that cannot be."""
    with ExitStack() as stack:
        with _telling(path):
            table = Table(stack.enter_context(growing_file(path)), classes)
        table.add_values(
            ['file', 'prediction', *(f'probability_{name}' for name in classes), 'note', 'unlike', 'error']
        )
        yield table


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f'--csv {path}: cannot be written ({error.strerror}); name another file') from None
