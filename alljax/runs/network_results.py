"""The parts of results.json about a network and its training."""

from collections.abc import Collection

import jax

from alljax.models import Model, Variables
from alljax.models.trees import flatten
from alljax.runs.results import Results
from alljax.storage import hosts
from alljax.training import loop
from alljax.training.progress import Facts, Progress

TOGETHER = 'heads_trained_together'  # of a checkpoint, and of the `train` part of results.json


def about_start(position: Facts) -> Results:
    """The step that a run went on after, by the facts of its checkpoint; None for a start from nothing.

    A head that was trained together with others in one program was not interrupted: their number stands there.
    """
    together = position.get(TOGETHER)
    return {
        'resumed_after_step': None if together else position.get('step'),
        **({TOGETHER: together} if together else {}),
    }


def about_training(schedule: loop.Schedule, progress: Progress) -> Results:
    """The `train` part of results.json."""
    steps, best = int(progress.state.step), progress.best
    epochs = steps / schedule.steps_per_epoch
    return {
        'epochs': epochs,
        'steps': steps,
        'devices': jax.device_count(),
        'processes': hosts.count(),
        'seconds': round(progress.seconds, 1),
        'images_per_second': round(epochs * len(schedule.train) / progress.seconds, 1),
        'cells_an_epoch': len(schedule.train),
        'chosen': f'epoch {best.epoch}, of the lowest validation loss' if best else 'the last epoch',
        'best_epoch': best.epoch if best else None,
    }


def about_model(model: Model, origin: str, variables: Variables, trained_names: Collection[str]) -> Results:
    """The `model` part of results.json."""
    sizes = {name: leaf.size for name, leaf in flatten(variables['params']).items()}
    return {
        'name': model.name,
        'init': origin,
        'parameters': sum(sizes.values()),
        'trained_parameters': sum(sizes[name] for name in trained_names),
        'input': [model.input.size, model.input.size, 3],
        'color': model.input.color,
    }
