"""A run folder and images to class probabilities: `python -m alljax.predict RUN PATH… [--csv FILE] [--top K]`."""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from alljax import config
from alljax.data import image_files
from alljax.errors import UserError, told_to_the_user
from alljax.runs import kinds
from alljax.storage import cache
from alljax.storage.atomic import write_whole
from alljax.storage.card import Card

BATCH = 28


class Row(NamedTuple):
    """What is known of one file: its probabilities, or why there are none."""

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


def main(arguments: list[str] | None = None) -> int:
    """Prints a line an image; the exit code is 1 if any could not be read."""
    parser = argparse.ArgumentParser(prog='python -m alljax.predict', description=__doc__)
    parser.add_argument('run', type=Path, metavar='RUN', help='a run folder, or the model/ folder of one')
    parser.add_argument('paths', type=Path, nargs='+', metavar='PATH', help='images, or folders of them')
    parser.add_argument('--csv', type=Path, metavar='FILE', help='writes all probabilities to this file')
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    parser.add_argument('--top', type=int, default=1, metavar='K', help='how many classes to print (default 1)')
    options = parser.parse_args(arguments)
    if options.top < 1:
        raise UserError(f'--top {options.top}: expected 1 or more')
    if options.config:
        config.load(options.config)
    run = load(options.run)
    if options.csv and (options.csv.is_dir() or not options.csv.absolute().parent.is_dir()):
        raise UserError(f'--csv {options.csv}: is a folder or lies in none that exists; name a file')
    cache.keep_compiled_programs()
    if run.card.synthetic:
        print('This model was trained on synthetic cells: what it says of real ones means nothing.', file=sys.stderr)
    rows = []
    for row in predict(run, options.paths):
        rows.append(row)
        print(_line(row, run.classes, options.top), flush=True)
    if options.csv:
        _write(options.csv, rows, run.classes)
    return int(any(row.error for row in rows))


def _line(row: Row, classes: tuple[str, ...], top: int) -> str:
    if row.probabilities is None:
        return f'{row.file}: error: {row.error}'
    best = np.argsort(-row.probabilities, kind='stable')[:top]
    said = ', '.join(f'{classes[index]} {row.probabilities[index]:.1%}' for index in best)
    return f'{row.file}: {said}' + (f' ({row.note})' if row.note else '')


def _write(path: Path, rows: list[Row], classes: tuple[str, ...]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(['file', 'prediction', *(f'probability_{name}' for name in classes), 'note', 'error'])
    for row in rows:
        if row.probabilities is None:
            writer.writerow([row.file, '', *[''] * len(classes), '', row.error])
            continue
        numbers = [f'{p:.6f}' for p in row.probabilities]
        writer.writerow([row.file, classes[row.probabilities.argmax()], *numbers, row.note, ''])
    try:
        write_whole(path, stream.getvalue().encode(errors='backslashreplace'))
    except OSError as error:
        raise UserError(f'--csv {path}: cannot be written ({error.strerror}); name another file') from None


if __name__ == '__main__':
    with told_to_the_user():
        sys.exit(main())
