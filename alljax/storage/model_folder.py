"""A model folder: a network's variables, or a classical system's classifier, and the card that says what it is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp

from alljax.errors import UserError
from alljax.models import Variables
from alljax.storage.atomic import new_folder, write_json
from alljax.storage.card import Card, Scores
from alljax.storage.checkpoints import read_tree, write_tree
from alljax.storage.disk_errors import disk_errors_explained

CARD, VARIABLES = 'facts.json', 'tree'  # files are named as in every release


def find(path: Path) -> Path:
    """The model folder that a path means: itself, or the model/ of a run; UserError if there is none."""
    if not path.exists():
        raise UserError(f'{path}: there is no such folder; expected a run folder')
    for folder in (path, path / 'model'):
        if (folder / CARD).is_file():
            return folder
    unfinished = ' yet; give the command of that run again to finish it' if (path / 'checkpoints').is_dir() else ''
    raise UserError(f'{path}: holds no model{unfinished or "; expected a run folder, with model/ in it"}')


@contextmanager
def replaced(folder: Path, card: Card) -> Iterator[Path]:
    """A new folder with this card to write the rest into; it takes the place of an earlier one only when whole."""
    with disk_errors_explained(folder), new_folder(folder, replace=True) as part:
        yield part
        write_json(part / CARD, card.to_json())


def write(folder: Path, variables: Variables, card: Card) -> None:
    """Writes the model folder of a network, replacing an earlier one only when the new one is whole."""
    with replaced(folder, card) as part:
        write_tree(part / VARIABLES, variables)


def read_card(folder: Path) -> Card:
    """The card of a model folder; UserError if it is none, is damaged or of another format."""
    path = folder / CARD
    if not path.is_file():
        raise UserError(f'{folder}: holds no {CARD}, so it is no model that alljax saved')
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read ({error}); the model is damaged') from None
    if not isinstance(values, dict):
        raise UserError(f'{path}: holds {type(values).__name__}, expected an object; the model is damaged')
    return Card.from_json(values, path)


def read_variables(folder: Path) -> Variables:
    """The variables in the model folder of a network, on the device; UserError if they cannot be read."""
    with disk_errors_explained(folder):
        tree = read_tree(folder / VARIABLES)
    variables: Variables = jax.tree.map(jnp.asarray, tree)
    return variables


def add_scores(folder: Path, scores: Scores) -> None:
    """Notes on the card how well the model did; all else that stands there, also what a later release wrote, stays."""
    noted = replace(read_card(folder), scores=scores).to_json()
    with disk_errors_explained(folder):
        kept = json.loads((folder / CARD).read_text(encoding='utf-8'))
        write_json(folder / CARD, {**kept, 'scores': noted['scores']})
