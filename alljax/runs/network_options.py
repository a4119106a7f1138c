"""The options of a network's training against its cells and layers, and what its results say of them."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.data.split import Split, class_weights
from alljax.errors import UserError
from alljax.models import Model, Variables, is_linen
from alljax.runs import transduction
from alljax.training import devices, group_dro
from alljax.training.inputs import Inputs
from alljax.training.precision import PRECISIONS
from alljax.training.step import TrainingSetup


def check(plan: Plan, cells: Cells, model: Model, variables: Variables) -> None:
    """UserError for options that cannot work with this network or with these cells."""
    how, problems = plan.training, []
    if how.statistics != 'running' and not (is_linen(model) and 'batch_stats' in variables):
        why = 'is no linen module' if not is_linen(model) else 'has no batch normalization'
        problems.append(
            f'config.model.statistics is {how.statistics}, but {model.name} {why}; set it to running, or choose '
            'another network'
        )
    if how.statistics == 'test_slide':
        transduction.need_slides(cells, 'config.model.statistics', how.statistics)
    if plan.network.options.get('norm') == 'group' and not _normalizes_by_batch(plan, len(cells.classes)):
        problems.append(
            f'config.model.norm is group, but {model.name} has no batch normalization to replace; set it to batch, or '
            'choose another network'
        )
    if how.group_rate is not None and cells.origin.grouping == 'unknown':
        problems.append(
            'config.loss.robust is group_dro, but nothing is known of patients, slides or repeats of these cells, so '
            'each would be a group of its own; name them in groups.csv, or set it to none'
        )
    if problems:
        raise UserError(*problems)


def said(plan: Plan) -> dict[str, object]:
    """The options that are not at their defaults, for the `train` part of results.json."""
    how = plan.training
    values = {
        'layer_decay': how.layer_decay if how.layer_decay != 1 else None,
        'label_smoothing': how.smoothing or None,
        'mixup': how.mixup or None,
        'average_of_parameters': how.average_decay or None,
        'group_dro': how.group_rate,
        'batch_statistics': how.statistics if how.statistics != 'running' else None,
        'precision': how.precision if how.precision != PRECISIONS[0] else None,
        'normalization': plan.network.options.get('norm'),
        'batches': 'balanced: classes, and groups within a class' if how.equalize == 'batches' else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _normalizes_by_batch(plan: Plan, classes: int) -> bool:
    options = {name: value for name, value in plan.network.options.items() if name != 'norm'}
    plain = plan.network._replace(options=options).create(classes)
    return 'batch_stats' in jax.eval_shape(plain.init, jax.random.key(0))


def training_setup(
    plan: Plan,
    fed: Inputs,
    update: optax.GradientTransformation,
    factors: Mapping[str, float],
    cells: Cells,
    parts: Split,
) -> tuple[TrainingSetup, Int32[Array, ' cells'] | None]:
    """All that stays the same from step to step, and the number of each cell's slide for group DRO."""
    groups, count = _training_groups(plan, cells, parts)
    how = plan.training
    setup = TrainingSetup(
        fed.model, update, fed.prepare, factors, loss_weights(plan, cells, parts), plan.seed,
        smoothing=how.smoothing, mixup=how.mixup, average_decay=how.average_decay,
        freeze_statistics=how.statistics == 'frozen', groups=count, group_rate=how.group_rate or 0,
        mesh=devices.mesh_of_all(), precision=how.precision,
    )  # fmt: skip
    return setup, groups


def loss_weights(plan: Plan, cells: Cells, parts: Split) -> Float[Array, ' classes']:
    """The weight of each class in the loss."""
    return jnp.asarray(class_weights(cells.labels, parts.train, plan.training.equalize, len(cells.classes)))


def _training_groups(plan: Plan, cells: Cells, parts: Split) -> tuple[Int32[Array, ' cells'] | None, int]:
    """The number of each cell's slide on the training side, -1 for other slides, and how many; None without group DRO.

    A single slide has no other to be weighed against, but is trained as any.
    """
    if plan.training.group_rate is None:
        return None, 0
    numbers, count = group_dro.numbered(cells.groups, parts.train)
    return jnp.asarray(numbers), count
