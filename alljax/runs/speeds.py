"""The speed of each kind of run on this machine: noted when a run ends, and asked before one begins."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import joblib

from alljax.baselines.features import NETWORK
from alljax.config.plan import Plan
from alljax.runs.network import TrainedNetwork
from alljax.runs.results import Results
from alljax.storage import speed_record

ENOUGH = 10  # steps from which a run tells how long one takes


class Speed(NamedTuple):
    """Seconds of a kind of run."""

    step: float  # of training; 0 for a classical system
    picture: float  # whose features are computed once; 0 where every step sees pictures
    run: float  # besides both: reading, compiling, testing, report


def kind(plan: Plan) -> str:
    """The name of a kind of run: all in its plan on which its speed depends."""
    network = {
        'network': plan.network.name,
        'options': dict(plan.network.options),
        'batch_size': plan.batch_size,
    }
    if plan.system:
        parts = {'system': str(plan.system.parts)}
        measuring = [one.network.name for one in plan.measuring]
        used = {**network, 'measuring': measuring} if NETWORK in plan.system.parts.features else {}
        return speed_record.kind({**parts, **used, 'size': plan.data.size})
    how = plan.training
    return speed_record.kind(
        {
            **network,
            'freeze': how.freeze,
            'factors': how.factors,
            'optimizer': how.optimizer.name,
            'augment': plan.augmentation if plan.augmentation.at_each_step else '',
            'average': bool(how.average_decay),
            'statistics': how.statistics,
            'size': plan.data.size,
        }
    )


def known(plan: Plan, record: speed_record.Speeds) -> Speed | None:
    """The speed of the plan's kind of run; None where it was never measured."""
    found = record.get(kind(plan), {})
    return Speed(**found) if found.keys() == {*Speed._fields} else None


def note(plan: Plan, trained: Any, found: Mapping[str, Any], seconds: float) -> None:
    """Keeps what a run that has just been trained in so many `seconds` tells of its kind; `found` is its results.

    What it took besides its steps is the least that was ever seen: later runs find features and programs in the cache.
    """
    if plan.candidates:
        return
    name, its = kind(plan), {**_of_training(plan, trained, found)}
    rest = seconds - float(found['train'].get('seconds', 0))
    its['run'] = max(0.0, min(rest, speed_record.read().get(name, {}).get('run', math.inf)))
    speed_record.add(name, its)


def _of_training(plan: Plan, trained: Any, found: Results | Mapping[str, Any]) -> dict[str, float]:
    a_cell, train = found['seconds_a_cell'], found['train']
    views = plan.views.pictures if plan.views else 1
    if plan.system:
        with_network = NETWORK in plan.system.parts.features  # which takes all cores already
        measured = a_cell['segmentation'] / joblib.cpu_count()
        measured += a_cell['features'] / (1 if with_network else joblib.cpu_count())
        return {'step': 0.0, 'picture': measured / views}
    assert isinstance(trained, TrainedNetwork)
    head_alone = trained.inputs is not None and trained.inputs.model is not trained.model
    steps = train['steps']
    of_step = {'step': train['seconds'] / steps} if steps >= ENOUGH else {}
    return {**of_step, 'picture': a_cell['prediction'] / views if head_alone else 0.0}
