"""What follows from a config before any cell is read: demo or not, where to start, and the fields as they are used."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from alljax import config as fields
from alljax import models
from alljax.baselines.features import NETWORK
from alljax.baselines.systems import assembled
from alljax.data import datasets
from alljax.errors import UserError
from alljax.weights import weight_cache


class Setting(NamedTuple):
    """A config with what follows from it before any cell is read."""

    config: ConfigDict
    demo: bool
    source: Path | None  # the model folder to start from, None for random variables
    start: str  # how the variables come about, for results.json


def settle(config: ConfigDict, given: Collection[str], earlier: Mapping[str, Any] = MappingProxyType({})) -> Setting:
    """Finds the start and applies the `when` table; UserError for values that no run could use.

    The same for a start that cannot be had: only a demo then begins with random variables, and says why. One that did
    goes on so; `earlier` holds the fields of the run that is in the folder already.
    """
    config, when = config.copy_and_resolve_references(), config.get('when', {})
    fields.check(config)
    demo = datasets.is_drawn(config.data)
    if not asks_network(config):
        source, start = None, 'none: the system needs no network'
    elif demo and earlier.get('model.init') == 'random' != config.model.init:
        source, start = None, 'random, since ImageNet weights could not be had when the run began'
    else:
        source, start = find_start(config.model, demo)
    if not source and asks_network(config):
        config.model.init = 'random'
    paper = config.split.protocol == 'paper'
    for situation, active in (('random', not source and asks_network(config)), ('paper', paper), ('demo', demo)):
        for key, value in fields.flat(when.get(situation, {})).items() if active else ():
            if key not in given:
                fields.set_field(config, key, value)
    if 'dropout' not in models.options(config.model.name) and 'model.dropout' not in given:
        config.model.dropout = None  # the `when` table does not know the network
    fields.check(config)
    return Setting(config, demo, source, start)


def asks_network(config: ConfigDict) -> bool:
    """Whether a run needs the network of `config.model`: a classical system that measures cells by hand does not."""
    baseline = config.baseline.to_dict()
    name = baseline.pop('system')
    return not name or NETWORK in assembled(name, baseline).features


def find_start(config: ConfigDict, demo: bool) -> tuple[Path | None, str]:
    """The model folder to start from, fetched if need be, and None with the reason if the start is random."""
    if config.init == 'random':
        return None, 'random'
    kind, _, weights = config.init.partition(':')
    if kind != 'imagenet':
        return Path(config.init), config.init
    try:
        return weight_cache.obtain(config.name, weights), 'imagenet'
    except UserError as error:
        if demo:
            return None, f'random, since ImageNet weights could not be had: {error}'
        raise UserError(*error.problems, 'or start from random weights with --config.model.init=random') from None
