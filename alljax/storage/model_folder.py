"""A model folder: a network's variables, or a classical system's classifier, and the card that says what it is."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np
from jaxtyping import Shaped

from alljax.errors import UserError
from alljax.models import Variables
from alljax.storage import checksums, run_folder
from alljax.storage.atomic import new_folder, write_json, write_whole
from alljax.storage.calibration_record import Calibration, FeatureLikeness
from alljax.storage.card import Card, Scores
from alljax.storage.checksums import Checksums, Damaged
from alljax.storage.disk_errors import disk_errors_explained
from alljax.storage.json_records import Json, read_object
from alljax.storage.tree_folder import Tree, read_tree, write_tree

CARD, VARIABLES, LIKENESS = 'facts.json', 'tree', 'likeness.npz'  # files are named as in every release
CHECKSUMS = 'checksums.json'  # of each array in tree/, and of each file beside it
CHECKSUM = 'checksum'  # of the card, a key of its own
Array = Shaped[np.ndarray, ' ...']
AGAIN = 'the model is damaged, train or convert it again'


def find(path: Path) -> Path:
    """The model folder that a path means: itself, the model/ of a run, or that of a cross-validation's final model.

    UserError if there is none.
    """
    if not path.exists():
        raise UserError(f'{path}: there is no such folder; expected a run folder')
    for folder in (path, path / 'model', path / run_folder.FINAL / 'model'):
        if (folder / CARD).is_file():
            return folder
    if (path / run_folder.CONFIG).is_file() and (runs := run_folder.runs_below(path)):
        raise UserError(_without_model(path, runs))
    unfinished = ' yet; give the command of that run again to finish it' if (path / 'checkpoints').is_dir() else ''
    raise UserError(f'{path}: holds no model{unfinished or "; expected a run folder, with model/ in it"}')


def _without_model(path: Path, runs: Sequence[Path]) -> str:
    """A sentence on a folder that holds runs and no model of its own."""
    said = f'{path}: holds {len(runs)} runs and no model of its own; name one of them, such as {runs[0]}'
    if (path / run_folder.FINAL / run_folder.CONFIG).is_file():
        return f'{said}, or give its command again, which finishes its final model'
    if run_folder.is_cross_validation(path):
        return (
            f'{said}, or give its command again with --workdir={path} --config.split.final_model=true, which trains '
            'one model on all cells'
        )
    return said


@contextmanager
def replaced(folder: Path, card: Card) -> Iterator[Path]:
    """A new folder with this card to write the rest into; it takes the place of an earlier one only when whole."""
    with disk_errors_explained(folder), new_folder(folder, replace=True) as part:
        yield part
        _complete(part, card, {})


def write(folder: Path, variables: Variables, card: Card) -> None:
    """Writes the model folder of a network, replacing an earlier one only when the new one is whole."""
    with disk_errors_explained(folder), new_folder(folder, replace=True) as part:
        _complete(part, card, write_tree(part / VARIABLES, variables))


def read_card(folder: Path) -> Card:
    """The card of a model folder; UserError if it is none, is damaged or of another format."""
    path = folder / CARD
    values = _values(folder)
    card = Card.from_json(values, path)
    if CHECKSUM in values and values[CHECKSUM] != _checksum(values, values[CHECKSUM]):
        raise UserError(
            f'{path}: is not as it was written; {AGAIN}, or, if you changed it yourself, delete its "{CHECKSUM}"'
        )
    return card


def read_variables(folder: Path) -> Variables:
    """The variables in the model folder of a network, on the device; UserError, naming what is damaged."""
    variables: Variables = jax.device_put(_read_arrays(folder))
    return variables


def _read_arrays(folder: Path) -> Tree:
    with disk_errors_explained(folder):
        expected = _expected(folder, 'arrays')
        try:
            return read_tree(folder / VARIABLES, expected)
        except Damaged as error:
            raise UserError(f'{folder / VARIABLES}: {error}; {AGAIN}') from None


def check(folder: Path) -> None:
    """UserError, naming what is damaged, unless all of a model, and of its members, is as it was written."""
    card = read_card(folder)
    check_files(folder)
    if card.network:
        _read_arrays(folder)
    for name in card.members:
        check(folder / name)


def has_checksums(folder: Path) -> bool:
    """True if all in a model folder is checked when it is read; a folder of an earlier release has no checksums."""
    return CHECKSUM in _values(folder)


def check_files(folder: Path) -> None:
    """UserError if a file of a model folder, beside its card and variables, is not as it was written."""
    try:
        checksums.check_files(folder, _expected(folder, 'files') or {})
    except Damaged as error:
        raise UserError(f'{folder}: {error}; {AGAIN}') from None


def add_scores(folder: Path, scores: Scores) -> None:
    """Notes on the card how well the model did; all else that stands there, also what a later release wrote, stays."""
    _note(folder, 'scores', replace(read_card(folder), scores=scores))


def add_calibration(folder: Path, calibration: Calibration | None) -> None:
    """Notes on the card how the model's probabilities are calibrated, or that they are not; all else there stays."""
    _note(folder, 'calibration', replace(read_card(folder), calibration=calibration))


def add_likeness(folder: Path, likeness: FeatureLikeness, arrays: dict[str, Any]) -> None:  # Any: arrays
    """Notes on the card the score that tells cells unlike the training cells, and keeps its arrays, if it has any."""
    if arrays:
        path = folder / LIKENESS
        with disk_errors_explained(folder):
            write_whole(path, lambda file: np.savez(file, **arrays))
            expected = {'arrays': _expected(folder, 'arrays') or {}, 'files': _expected(folder, 'files') or {}}
            expected['files'] = {**expected['files'], path.name: checksums.of_file(path)}
            write_json(folder / CHECKSUMS, expected)
    _note(folder, 'likeness', replace(read_card(folder), likeness=likeness))


def read_arrays(folder: Path, names: Collection[str]) -> dict[str, Array]:
    """The arrays of the score of `add_likeness`; UserError if they are not as they were written."""
    path = folder / LIKENESS
    check_files(folder)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f'{path}: cannot be read ({error}); {AGAIN}') from None


def _note(folder: Path, key: str, card: Card) -> None:
    """Writes one value of the card into the facts.json of a folder."""
    values = {**_values(folder), key: card.to_json().get(key)}
    if CHECKSUM in values:
        values[CHECKSUM] = _checksum(values, {'keys': sorted({*values[CHECKSUM]['keys'], key})})
    with disk_errors_explained(folder):
        write_json(folder / CARD, values)


def _complete(part: Path, card: Card, arrays: Checksums) -> None:
    """Writes the checksums and the card, when all else is written."""
    inner = [
        path.name for path in part.iterdir() if (path / CARD).is_file()
    ]  # a model folder, with checksums of its own
    files = checksums.of_files(part, without=(VARIABLES, *inner))
    write_json(part / CHECKSUMS, {'arrays': arrays, 'files': files})
    values = card.to_json()
    write_json(part / CARD, {**values, CHECKSUM: _checksum(values, {'keys': sorted(values)})})


def _checksum(values: Json, noted: Any) -> dict[str, Any] | None:  # Any: of JSON, which may be damaged
    """The checksum of a card's content, over the keys that are noted with it: a later release may have added others."""
    if not isinstance(noted, Mapping) or not isinstance(noted.get('keys'), list):
        return None
    keys = list(map(str, noted['keys']))
    return {'keys': keys, 'value': checksums.of_values({key: values.get(key) for key in keys})}


def _values(folder: Path) -> Json:
    path = folder / CARD
    if not path.exists():
        raise UserError(f'{folder}: holds no {CARD}, so it is no model that alljax saved')
    try:
        return read_object(path)
    except Damaged as error:
        raise UserError(f'{path}: {error}; {AGAIN}') from None


def _expected(folder: Path, part: str) -> Checksums | None:
    """The checksums of the arrays or the files of a model folder; None for one of an earlier release."""
    path = folder / CHECKSUMS
    if not path.exists() and CHECKSUM not in _values(folder):
        return None
    try:
        found = read_object(path).get(part)
    except Damaged as error:
        raise UserError(f'{path}: {error}; {AGAIN}') from None
    if not isinstance(found, Mapping) or not all(isinstance(value, str) for value in found.values()):
        raise UserError(f'{path}: has no {part}; {AGAIN}')
    return found
