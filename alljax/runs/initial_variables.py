"""The variables that a run starts from: drawn, published, or those of another run."""

from contextlib import suppress
from pathlib import Path

import jax
from jaxtyping import Array, Int, Key

from alljax.baselines.features import NETWORK
from alljax.config.plan import Plan
from alljax.data.cells import Origin
from alljax.data.datasets import DATASETS
from alljax.errors import UserError, some
from alljax.models import Model, Variables
from alljax.models.layers import DENSE_LAYERS
from alljax.models.trees import flatten, unflatten
from alljax.storage import model_folder
from alljax.weights import training_sets
from alljax.weights.published import CONVOLUTIONS


def first_variables(plan: Plan, model: Model, classes: tuple[str, ...]) -> tuple[Variables, str]:
    """The variables that a plan starts from, for a network of these classes, and how they came about."""
    key = _key(plan.seed)
    if not plan.start.source:
        return model.init(key), plan.start.how
    variables, how = start_from(plan.start.source, model, classes, key)
    return variables, f'imagenet: {how}' if plan.start.how == 'imagenet' else how


@jax.jit
def _key(seed: int | Int[Array, '']) -> Key[Array, '']:
    return jax.random.fold_in(jax.random.key(seed), 2**31)  # no step's key


def trained_on(plan: Plan) -> tuple[str, ...]:
    """The public names of the sets that the variables at a plan's start have seen, as far as they are known."""
    starts = [one.start for one in plan.measuring] or [plan.start]
    cards = [model_folder.read_card(model_folder.find(start.source)) for start in starts if start.source]
    return tuple(dict.fromkeys(name for card in cards for name in training_sets.of_card(card)))


def published_weights(plan: Plan) -> list[dict[str, str]]:
    """The published weights that a plan starts from, each with name, license and address; those of all candidates."""
    plans = [one.plan for one in plan.candidates] or [plan]
    asked = [one for one in plans if one.system is None or NETWORK in one.system.parts.features]
    starts = [start for one in asked for start in [each.start for each in one.measuring] or [one.start]]
    found = {}
    for path in dict.fromkeys(start.source for start in starts if start.source):
        with suppress(UserError):  # a run that is finished needs its start no more
            origin = model_folder.read_card(model_folder.find(path)).weights
            if origin and origin.weights:
                found[origin.sha256] = {'name': f'{origin.file} ({origin.weights})', 'license': origin.license,
                                        'address': origin.address}  # fmt: skip
    return [*found.values()]


def source_name(plan: Plan, origin: Origin) -> str:
    """The public name of the set that a run is on: a published one has it, others by `config.data.source`."""
    dataset = DATASETS.get(origin.name)
    return plan.source or (dataset.source.name if dataset and dataset.source else '')


def with_source(sets: tuple[str, ...], plan: Plan, origin: Origin) -> tuple[str, ...]:
    """The sets that a run's variables have seen at its end: those before it, and its own."""
    own = source_name(plan, origin)
    return (*sets, own) if own and own not in sets else sets


def start_from(path: Path, model: Model, classes: tuple[str, ...], key: Key[Array, '']) -> tuple[Variables, str]:
    """Variables for `model` from another run's, and how they came about.

    The new layers are taken over only if the classes are the same. Dense layers that the other has not, because it ends
    with its convolutions, are drawn. UserError for another network.
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
    if not any(name.startswith(DENSE_LAYERS) for name in new):  # config.model.dense is False: convolutions are wanted
        taken = {name: leaf for name, leaf in taken.items() if not name.startswith(DENSE_LAYERS)}
    wrong = [name for name, leaf in taken.items() if name not in new or new[name].shape != leaf.shape]
    absent = DENSE_LAYERS if spec.options.get('dense') is False else ()
    drawn = tuple(f'{layer}/' for layer in ('head', *absent))
    wrong += [name for name in new if name not in taken and not name.startswith(drawn)]
    if wrong:
        raise UserError(
            f'config.model.init={path}: {some(wrong, 4)} have other shapes there than config.model asks for '
            '(are config.model.head, size and width the same?)'
        )
    how = card.weights.file if card.weights else f'{path}'
    if absent:
        of_imagenet = card.weights is not None and card.weights.weights == CONVOLUTIONS
        ending = 'new dense layers' if any(name.startswith(DENSE_LAYERS) for name in new) else 'their features'
        how = f'{"ImageNet convolutions" if of_imagenet else "convolutions"}, {ending}: {how}'
    elif not same:
        how += f', without its head for {some(list(card.classes), 4)}' if card.classes else ', which has no head'

    @jax.jit
    def fresh(key: Key[Array, '']) -> dict[str, Array]:  # of all that `init` draws, only this is compiled
        return {name: leaf for name, leaf in flatten(model.init(key)['params']).items() if name not in taken}

    return {**variables, 'params': unflatten(fresh(key) | taken)}, how
