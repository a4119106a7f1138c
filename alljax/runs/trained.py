"""A model folder: the network, its variables, and all that prediction and analysis need beside them."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from alljax import models
from alljax.errors import UserError, some
from alljax.models import Input, Model, Variables
from alljax.models.trees import flatten, unflatten
from alljax.storage import checkpoints


class Trained(NamedTuple):
    """A network with its variables and the facts that were saved with it."""

    model: Model
    variables: Variables
    classes: tuple[str, ...]
    facts: dict[str, Any]


def describe(name: str, options: dict[str, Any], classes: tuple[str, ...], form: Input) -> dict[str, Any]:
    """The facts from which `load` builds the network again."""
    return {
        'network': {'name': name, 'options': options},
        'classes': list(classes),
        'input': form._asdict(),
    }


def load(path: Path) -> Trained:
    """The model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    folder = place(path)
    facts = checkpoints.read_facts(folder)
    if 'system' in facts:
        raise UserError(f'{path}: holds {facts["model"]["name"]}, a classical system; expected a network')
    network = facts['network']
    classes = tuple(facts['classes'])
    model = models.create(network['name'], len(classes), **network['options'])
    form = facts['input']
    form = Input(**(form | {name: tuple(form[name]) for name in ('mean', 'deviation')}))
    return Trained(model._replace(input=form), jax.tree.map(jnp.asarray, checkpoints.read(folder)), classes, facts)


def place(path: Path) -> Path:
    """The model folder that a path means: itself, or the model/ of a run."""
    if not path.exists():
        raise UserError(f'{path}: there is no such folder; expected a run folder')
    for folder in (path, path / 'model'):
        if (folder / 'facts.json').is_file():
            return folder
    unfinished = ' yet; give the command of that run again to finish it' if (path / 'checkpoints').is_dir() else ''
    raise UserError(f'{path}: holds no model{unfinished or "; expected a run folder, with model/ in it"}')


def start_from(path: Path, model: Model, classes: tuple[str, ...], key: Key[Array, '']) -> tuple[Variables, str]:
    """Variables for `model` from another run's, and how they came about.

    The new layers are taken over only if the classes are the same. UserError for another network.
    """
    source = load(path)
    if source.model.name != model.name:
        raise UserError(
            f'config.model.init={path}: holds {source.model.name}, config.model.name is {model.name}; mend one'
        )
    same = source.classes == classes
    old, new = flatten(source.variables['params']), flatten(jax.eval_shape(model.init, key)['params'])
    taken = {name: leaf for name, leaf in old.items() if same or not name.startswith('head/')}
    wrong = [name for name, leaf in taken.items() if name not in new or new[name].shape != leaf.shape]
    wrong += [name for name in new if name not in taken and not name.startswith('head/')]
    if wrong:
        raise UserError(
            f'config.model.init={path}: {some(wrong, 4)} have other shapes there than config.model asks for '
            '(are config.model.head, size and width the same?)'
        )
    how = source.facts['weights']['file'] if 'weights' in source.facts else f'{path}'
    if not same:
        how += f', without its head for {some(list(source.classes), 4)}' if source.classes else ', which has no head'

    @jax.jit
    def fresh(key: Key[Array, '']) -> dict[str, Array]:  # of all that `init` draws, only this is compiled
        return {name: leaf for name, leaf in flatten(model.init(key)['params']).items() if name not in taken}

    return {**source.variables, 'params': unflatten(fresh(key) | taken)}, how
