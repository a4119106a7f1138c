"""Converted weights in the user's cache: each a model folder, as a run's, with where it came from."""

import logging
import re
from contextlib import AbstractContextManager
from pathlib import Path

import alljax
from alljax import models
from alljax.errors import UserError
from alljax.models import NetworkSpec, Variables
from alljax.storage import cache, model_folder
from alljax.storage.atomic import delete_abandoned
from alljax.storage.card import Card, WeightsOrigin
from alljax.storage.locks import locked
from alljax.weights import caffe_file, lpips_file, tensor_files, training_sets
from alljax.weights.convert import convert, convert_convolutions
from alljax.weights.fetch import check, digest, fetched
from alljax.weights.published import CONVOLUTIONS, Published, all_published, find, imagenet_classes
from alljax.weights.rules import table
from alljax.weights.rules.rule import OTHER
from alljax.weights.wrappings import Selection, of_other_networks, unwrap

log = logging.getLogger(__name__)
WHOLE = Selection()


def cached(row: Published) -> Path | None:
    """The folder of these weights, if they were converted before by a release that stored them as this one does."""
    folder = _place(row.name)
    try:
        model_folder.read_card(folder)
    except UserError:
        return None
    return folder


def obtain(name: str, weights: str = '') -> Path:
    """The model folder with ImageNet weights of a network, fetched and converted if the cache has none.

    `weights` chooses others than the publisher's recommended ones, or 'convolutions' for these alone. UserError, with
    what to do by hand, if they cannot be had.
    """
    row = find(name, weights)
    with _alone(row.name):
        delete_abandoned(cache.folder('weights'))
        delete_abandoned(cache.folder('downloads'))
        folder = cached(row)
        if folder and _is_whole(folder):
            return folder
        with fetched(row, cache.folder('downloads')) as path:
            wanted = Selection(convolutions=row.weights == CONVOLUTIONS)
            return _convert(row.network, path, _place(row.name), row, digest(path, 'sha256'), wanted)


def _is_whole(folder: Path) -> bool:
    """True if the arrays of an entry are as they were written; else says so, and that they are converted again."""
    try:
        model_folder.read_variables(folder)
    except UserError as error:
        log.warning('%s; it is part of the cache, and converted again', str(error).partition('; the model')[0])
        return False
    return True


def from_file(name: str, path: Path, wanted: Selection = WHOLE, *, out: Path | None = None) -> Path:
    """The model folder converted from a local file: the cache's own entry if it is the published file.

    `wanted` chooses a part of the file. UserError for a file that is not of this network.
    """
    table(name)
    if not path.is_file():
        raise UserError(
            f'--file {path}: {"is a folder; name a file in it" if path.is_dir() else "there is no such file"}'
        )
    if out and out.exists():
        raise UserError(f'--out {out}: exists already, and is left as it is; name a new folder')
    if wanted.convolutions:
        with lpips_file.unpacked(name, path, cache.folder('downloads')) as found:
            return _converted(name, found, wanted, out)
    return _converted(name, path, wanted, out)


def _converted(name: str, path: Path, wanted: Selection, out: Path | None) -> Path:
    sha256 = digest(path, 'sha256')
    row = (
        _recognized(name, path, sha256)
        if wanted._replace(convolutions=False, trained_on=()) == WHOLE and not out
        else None
    )
    wanted = wanted._replace(convolutions=wanted.convolutions or (row is not None and row.weights == CONVOLUTIONS))
    label = row.name if row else f'{name}-file-{sha256[:8]}{_suffix(wanted)}'
    with _alone(label):
        return _convert(name, path, out or _place(label), row, sha256, wanted)


def _convert(
    name: str, path: Path, folder: Path, row: Published | None, sha256: str, wanted: Selection = WHOLE
) -> Path:  # fmt: skip
    log.info('converting %s', path)
    variables, count = _read_convolutions(name, path) if wanted.convolutions else _read(name, path, wanted)
    names = imagenet_classes()
    classes = names if count == len(names) else tuple(f'class {index}' for index in range(count))
    form = models.MODELS[name].input
    if row:
        form = form._replace(size=row.size, resize=row.resize, interpolation=row.interpolation)
    origin = _origin(path, row, sha256)
    options = {'head': 0, 'dense': False} if wanted.convolutions else {'head': 0}
    sets = wanted.trained_on or training_sets.of_published(name, origin.weights)
    card = Card(classes, NetworkSpec(name, options), form, photograph=True, weights=origin, trained_on=sets)
    model_folder.write(folder, variables, card)
    return folder


def _read(name: str, path: Path, wanted: Selection) -> tuple[Variables, int]:
    """`convert` of a file, which is let go of on return: only then there is room to write."""
    source = caffe_file.read(path) if path.suffix == '.caffemodel' else tensor_files.read(path)
    try:
        own = unwrap(name, source, wanted)
        for note in own.notes:
            log.info('%s: %s', path, note)
        return convert(name, own.tensors, head=wanted.head)
    except UserError as error:
        problems = [f'{path}: {problem}' for problem in error.problems]
    if any(problem.endswith(OTHER) for problem in problems):
        others = of_other_networks(name, source)
        problems += [f'{path}: its tensors are those of {" or ".join(others)}; name that network'] if others else []
    raise UserError(*problems)


def _read_convolutions(name: str, path: Path) -> tuple[Variables, int]:
    source = lpips_file.read(path)
    try:
        return convert_convolutions(name, source), 0
    except UserError as error:
        raise UserError(*(f'{path}: {problem}' for problem in error.problems)) from None


def _origin(path: Path, row: Published | None, sha256: str) -> WeightsOrigin:
    origin = WeightsOrigin(path.name, sha256, path.stat().st_size, f'alljax {alljax.__version__}')
    if row is None:
        return origin
    return origin._replace(file=row.file, weights=row.weights, address=row.address, license=row.license)


def _recognized(name: str, path: Path, sha256: str) -> Published | None:
    """The published weights that this file holds: by its hash, whatever it is called."""
    for row in all_published():
        if row.network != name:
            continue
        algorithm, _, expected = row.hash.partition(':')
        found = sha256 if algorithm == 'sha256' else digest(path, algorithm)
        if found.startswith(expected):
            return row
        if path.name == row.file:
            check(path, row)  # it says that it is the published file, so this says what is wrong
    return None


def _suffix(wanted: Selection) -> str:
    """The part of an entry's name that tells which part of the file it is."""
    part = '' if wanted.prefix is None else '-' + re.sub(r'[^\w-]+', '-', wanted.prefix.strip('.'), flags=re.ASCII)
    return part + ('' if wanted.head else '-features') + (f'-{CONVOLUTIONS}' if wanted.convolutions else '')


def _place(label: str) -> Path:
    return cache.folder('weights') / label


def _alone(label: str) -> AbstractContextManager[None]:
    """The lock of an entry: another process that fetches or converts the same weights is waited for."""
    return locked(cache.folder('weights') / f'.{label}.lock')
