"""A run folder and images to class probabilities: `python -m alljax.predict RUN PATH… [--csv FILE] [--top K]`."""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from scipy.special import softmax

from alljax import cache, config, trained
from alljax.data import denoise, image
from alljax.errors import UserError, told_to_the_user
from alljax.training import infer

BATCH = 28


class Row(NamedTuple):
    """What is known of one file: its probabilities, or why there are none."""

    file: str
    probabilities: Float[np.ndarray, ' classes'] | None
    note: str = ''  # what was converted while reading
    error: str = ''


def predict(run: trained.Trained, paths: Iterable[Path], batch_size: int = BATCH) -> Iterator[Row]:
    """One row for each image, in order; a file that cannot be read becomes a row with its error.

    A folder stands for every image in it and below.
    """
    logits_of = infer.make_logits(run.model)
    files = [file for path in paths for file in _files(path)]
    for start in range(0, len(files), batch_size):
        pictures = [_read(file) for file in files[start : start + batch_size]]
        good = [_fit(p.pixels, run) for p in pictures if isinstance(p, image.Picture)]
        rows = np.zeros((0, len(run.classes)))
        if good:
            images = denoise.filtered(np.stack(good), run.facts.get('denoise', 'none'))
            logits = infer.run(logits_of, run.variables, images, np.arange(len(good)), batch_size)
            rows = softmax(logits.astype(np.float64), axis=1)
        found = iter(rows)
        for file, picture in zip(files[start:], pictures, strict=False):
            if isinstance(picture, image.Picture):
                yield Row(str(file), next(found), note=picture.note)
            else:
                yield Row(str(file), None, error=f'{picture}')


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
    run = trained.load(options.run)
    if options.csv and (options.csv.is_dir() or not options.csv.absolute().parent.is_dir()):
        raise UserError(f'--csv {options.csv}: is a folder or lies in none that exists; name a file')
    cache.keep_compiled_programs()
    if run.facts['synthetic']:
        print('This model was trained on synthetic cells: what it says of real ones means nothing.', file=sys.stderr)
    rows = []
    for row in predict(run, options.paths):
        rows.append(row)
        print(_line(row, run.classes, options.top), flush=True)
    if options.csv:
        _write(options.csv, rows, run.classes)
    return int(any(row.error for row in rows))


def _fit(pixels: UInt8[np.ndarray, 'height width 3'], run: trained.Trained) -> UInt8[np.ndarray, 'size size 3']:
    """A cell as cells were trained on; for published weights a photograph as those were trained on."""
    if run.facts.get('photograph'):
        form = run.model.input
        return image.photograph(pixels, form.size, form.resize, form.interpolation)
    return image.to_square(pixels, run.facts['data_size'])


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob('*') if p.suffix.lower() in image.SUFFIXES and not p.name.startswith('.'))
    return found or [path]  # reading it says what is wrong


def _read(path: Path) -> image.Picture | image.ImageError:
    if path.is_dir():
        return image.ImageError('is a folder without images')
    try:
        return image.read(path)
    except image.ImageError as error:
        return error


def _line(row: Row, classes: tuple[str, ...], top: int) -> str:
    if row.probabilities is None:
        return f'{row.file}: error: {row.error}'
    best = np.argsort(-row.probabilities, kind='stable')[:top]
    said = ', '.join(f'{classes[index]} {row.probabilities[index]:.1%}' for index in best)
    return f'{row.file}: {said}' + (f' ({row.note})' if row.note else '')


def _write(path: Path, rows: list[Row], classes: tuple[str, ...]) -> None:
    try:
        with path.open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(['file', 'prediction', *(f'probability_{name}' for name in classes), 'note', 'error'])
            for row in rows:
                if row.probabilities is None:
                    writer.writerow([row.file, '', *[''] * len(classes), '', row.error])
                    continue
                numbers = [f'{p:.6f}' for p in row.probabilities]
                writer.writerow([row.file, classes[row.probabilities.argmax()], *numbers, row.note, ''])
    except OSError as error:
        raise UserError(f'--csv {path}: cannot be written ({error.strerror}); name another file') from None


if __name__ == '__main__':
    with told_to_the_user():
        sys.exit(main())
