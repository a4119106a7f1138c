"""A run folder and images to class probabilities, of a network or of a classical system."""

from collections.abc import Callable, Iterable, Iterator
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

BATCH = 28


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
    probabilities: Callable[[UInt8[np.ndarray, 'cells side side 3'], int], Float[np.ndarray, 'cells classes']]


def load(path: Path) -> Predictor:
    """The model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    kind = kinds.of_model(path)
    run = kind.load(path)
    return Predictor(run.classes, run.card, kind.predictor(run))


def predict(run: Predictor, paths: Iterable[Path], batch_size: int = BATCH) -> Iterator[Row]:
    """One row for each image, in order; a file that cannot be read becomes a row with its error.

    A folder stands for every image in it and below.
    """
    files = image_files.files(paths)
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
