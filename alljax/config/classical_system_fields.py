"""The fields of a run that name a classical system, and those of a network that one has no use for."""

from pathlib import Path

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.baselines import extraction
from alljax.baselines.features import NETWORK
from alljax.baselines.segment import SEGMENTS, unet
from alljax.baselines.systems import assembled
from alljax.config.fields import FIELDS
from alljax.config.plan import NamedSystem
from alljax.errors import UserError

# Fields that only a network's training knows, and which change its result without a word of theirs in it.
NETWORK_ONLY = (
    'augment.mixup', 'loss.robust', 'loss.smoothing', 'model.norm', 'model.statistics', 'optimizer.ema',
    'optimizer.layer_decay', 'precision',
)  # fmt: skip


def system(config: ConfigDict) -> NamedSystem | None:
    """The classical system that a config names; None for a network."""
    parts = config.baseline.to_dict()
    name = parts.pop('system')
    return NamedSystem(name, assembled(name, parts)) if name else None


def asks_network(config: ConfigDict) -> bool:
    """True if a run needs the network of `config.model`: a classical system that measures cells by hand does not."""
    named = system(config)
    return named is None or NETWORK in named.parts.features


def check_levers(config: ConfigDict) -> None:
    """UserError for fields that change a network's training, where a classical system takes its place."""
    if not config.baseline.system:
        return
    values = fields.flat(config)
    changed = [name for name in NETWORK_ONLY if values[name] != FIELDS[name].default]
    problems = [
        f'config.{name} is {values[name]!r}, but {config.baseline.system} is a classical system, which has no steps '
        f'and no normalization layers to train; leave it at {FIELDS[name].default!r}'
        for name in changed
    ]
    if values['data.equalize'] == 'batches':
        problems.append(
            f'config.data.equalize is batches, but {config.baseline.system} is a classical system, which has no '
            'batches; set it to oversample'
        )
    named = system(config)
    if named and named.parts.weights:
        problems += _problems_of_weights(named)
    if named and named.parts.networks and NETWORK not in named.parts.features:
        problems.append(
            "config.baseline.networks names networks, but config.baseline.features has no 'network'; add it there"
        )
    if problems:
        raise UserError(*problems)


def _problems_of_weights(named: NamedSystem) -> list[str]:
    segment = named.parts.segment
    if segment not in SEGMENTS or not extraction.takes_weights(SEGMENTS[segment]):
        return [f'config.baseline.weights names a file, but the segmentation {segment} has no weights; leave it None']
    try:
        unet.read(Path(named.parts.weights))
    except UserError as error:
        return [f'config.baseline.weights: {problem}' for problem in error.problems]
    return []


def without_levers(config: ConfigDict) -> ConfigDict:
    """A config of a network's run for a classical system in its place: what is refused for one is left out."""
    values = fields.flat(config)
    jitter = fields.JITTER if values['augment.copies'] == 'fresh' and not values['predict.copies'] else ()
    plain = {name: FIELDS[name].default for name in (*NETWORK_ONLY, *jitter, 'ensemble.candidates')}
    if values['data.equalize'] == 'batches':
        plain['data.equalize'] = 'oversample'
    if values['calibration.unlike'] == 'energy':
        plain['calibration.unlike'] = 'pictures'
    return fields.with_fields(config, plain)
