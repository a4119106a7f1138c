"""The variables that a run starts from: drawn, published, or those of another run."""

from pathlib import Path

import jax
from jaxtyping import Array, Key

from alljax.config.plan import Plan
from alljax.errors import UserError, some
from alljax.models import Model, Variables
from alljax.models.trees import flatten, unflatten
from alljax.storage import model_folder


def first_variables(plan: Plan, model: Model, classes: tuple[str, ...]) -> tuple[Variables, str]:
    """The variables that a plan starts from, for a network of these classes, and how they came about."""
    key = jax.random.fold_in(jax.random.key(plan.seed), 2**31)  # no step's key
    if not plan.start.source:
        return model.init(key), plan.start.how
    variables, how = start_from(plan.start.source, model, classes, key)
    return variables, f'imagenet: {how}' if plan.start.how == 'imagenet' else how


def start_from(path: Path, model: Model, classes: tuple[str, ...], key: Key[Array, '']) -> tuple[Variables, str]:
    """Variables for `model` from another run's, and how they came about.

    The new layers are taken over only if the classes are the same. UserError for another network.
    """
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    spec, _ = card.expect_network(path)
    if spec.name != model.name:
        raise UserError(f'config.model.init={path}: holds {spec.name}, config.model.name is {model.name}; fix one')
    same = card.classes == classes
    variables, asked = model_folder.read_variables(folder), jax.eval_shape(model.init, key)
    if 'batch_stats' in asked and 'batch_stats' not in variables:
        raise UserError(
            f'config.model.init={path}: has group normalization, and so no batch statistics; set config.model.norm to '
            'group'
        )
    variables = {name: tree for name, tree in variables.items() if name in asked}
    old, new = flatten(variables['params']), flatten(asked['params'])
    taken = {name: leaf for name, leaf in old.items() if same or not name.startswith('head/')}
    wrong = [name for name, leaf in taken.items() if name not in new or new[name].shape != leaf.shape]
    wrong += [name for name in new if name not in taken and not name.startswith('head/')]
    if wrong:
        raise UserError(
            f'config.model.init={path}: {some(wrong, 4)} have other shapes there than config.model asks for '
            '(are config.model.head, size and width the same?)'
        )
    how = card.weights.file if card.weights else f'{path}'
    if not same:
        how += f', without its head for {some(list(card.classes), 4)}' if card.classes else ', which has no head'

    @jax.jit
    def fresh(key: Key[Array, '']) -> dict[str, Array]:  # of all that `init` draws, only this is compiled
        return {name: leaf for name, leaf in flatten(model.init(key)['params']).items() if name not in taken}

    return {**variables, 'params': unflatten(fresh(key) | taken)}, how
