"""A run folder and images to class probabilities, of a network or of a classical system."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from alljax.data import image_files
from alljax.errors import UserError
from alljax.runs import kinds
from alljax.storage.card import Card
from alljax.storage.text_files import csv_text, write_text

BATCH = 28


class Row(NamedTuple):
    """One file's probabilities, or the reason why there are none."""

    file: str
    probabilities: Float[np.ndarray, ' classes'] | None
    note: str = ''  # what was converted while reading
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
    files, preparation = image_files.files(paths), run.card.preparation
    for start in range(0, len(files), batch_size):
        found = [image_files.read(file, preparation) for file in files[start : start + batch_size]]
        good = [file.pixels for file in found if isinstance(file, image_files.ImageFile)]
        rows = iter(run.probabilities(np.stack(good), batch_size) if good else ())
        for file in found:
            if isinstance(file, image_files.ImageFile):
                yield Row(str(file.path), next(rows), note=file.note)
            else:
                yield Row(str(file.path), None, error=file.error)


def write_csv(path: Path, rows: Iterable[Row], classes: tuple[str, ...]) -> None:
    """All probabilities in a file, a line an image; UserError if it cannot be written."""
    lines = []
    for row in rows:
        if row.probabilities is None:
            lines.append([row.file, '', *[''] * len(classes), '', row.error])
            continue
        numbers = [f'{p:.6f}' for p in row.probabilities]
        lines.append([row.file, classes[row.probabilities.argmax()], *numbers, row.note, ''])
    columns = ['file', 'prediction', *(f'probability_{name}' for name in classes), 'note', 'error']
    try:
        write_text(path, csv_text(columns, lines, end='\r\n'))
    except OSError as error:
        raise UserError(f'--csv {path}: cannot be written ({error.strerror}); name another file') from None
