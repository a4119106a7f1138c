"""A model folder: the network, its variables, and all that prediction and analysis need beside them."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from alljax import models, store
from alljax.errors import UserError
from alljax.models import Input, Model, Variables
from alljax.models.trees import flatten, unflatten


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
        'input': {'size': form.size, 'mean': list(form.mean), 'deviation': list(form.deviation)},
        'color': 'RGB',
    }


def load(path: Path) -> Trained:
    """The model in a run folder or its model/ folder; UserError if there is none."""
    folder = place(path)
    facts = store.read_facts(folder)
    network = facts['network']
    classes = tuple(facts['classes'])
    model = models.create(network['name'], len(classes), **network['options'])
    form = Input(facts['input']['size'], tuple(facts['input']['mean']), tuple(facts['input']['deviation']))
    return Trained(model._replace(input=form), jax.tree.map(jnp.asarray, store.read(folder)), classes, facts)


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
    fresh = model.init(key)
    same = source.classes == classes
    old, new = flatten(source.variables['params']), flatten(fresh['params'])
    taken = {name: leaf for name, leaf in old.items() if same or not name.startswith('head/')}
    wrong = [name for name, leaf in taken.items() if name not in new or new[name].shape != leaf.shape]
    if wrong:
        raise UserError(
            f'config.model.init={path}: {", ".join(wrong[:4])} have other shapes there than config.model asks for '
            '(is config.model.head the same?)'
        )
    how = f'{path}' if same else f'{path}, without its head for {", ".join(source.classes)}'
    return {**source.variables, 'params': unflatten(new | taken)}, how
