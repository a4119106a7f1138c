"""A model folder: the network, its variables, and all that prediction and analysis need beside them."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from alljax import models
from alljax.errors import UserError
from alljax.models import Input, Model, NetworkSpec, Variables
from alljax.storage import checkpoints
from alljax.training.inputs import Inputs


class Trained(NamedTuple):
    """A network with its variables and the facts that were saved with it."""

    model: Model
    variables: Variables
    classes: tuple[str, ...]
    facts: dict[str, Any]
    inputs: Inputs | None = None  # of the run that has just trained it


def describe(spec: NetworkSpec, classes: tuple[str, ...], form: Input) -> dict[str, Any]:
    """The facts from which `load` builds the network again."""
    return {
        'network': {'name': spec.name, 'options': dict(spec.options)},
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
