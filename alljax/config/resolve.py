"""From a config to a plan, once: which data set, where to start, and every field as it is used."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax import models
from alljax.baselines.features import NETWORK
from alljax.baselines.systems import assembled
from alljax.config.fields import FIELDS, later_fields
from alljax.config.plan import NamedSystem, Plan, Start, TrainingOptions
from alljax.data.augment import Augmentation
from alljax.data.split import SplitOptions
from alljax.errors import UserError
from alljax.models import NetworkSpec
from alljax.storage import run_folder
from alljax.storage.image_preparation import CellPreparation
from alljax.training.optimizer import OptimizerOptions
from alljax.weights import weight_cache


def resolve(config: ConfigDict, given: Collection[str], earlier: Mapping[str, Any] = MappingProxyType({})) -> Plan:
    """The plan of a config, with its start found and its `when` table applied.

    `given` names the fields that the user set: they win over `when`. `earlier` holds the fields of the run that is in
    the folder already. UserError for values that no run could use, and for a start that cannot be had: only a demo then
    begins with random variables, and says why. One that did goes on so.
    """
    config, when = config.copy_and_resolve_references(), config.get('when', {})
    fields.check(config)
    if config.data.root:  # config.json is read from other folders later
        config.data.root = fields.data_options(config).root
    demo = fields.data_options(config).synthetic
    network = asks_network(config)
    if not network:
        start = Start(None, 'none: the system needs no network')
    elif demo and earlier.get('model.init') == 'random' != config.model.init:
        start = Start(None, 'random, since ImageNet weights could not be had when the run began')
    else:
        start = find_start(config.model.name, config.model.init, demo)
    at_random = network and not start.source
    if at_random:
        config.model.init = 'random'
    paper = config.split.protocol == 'paper'
    for situation, active in (('random', at_random), ('paper', paper), ('demo', demo)):
        for key, value in fields.flat(when.get(situation, {})).items() if active else ():
            if key not in given:
                fields.set_field(config, key, value)
    if 'dropout' not in models.options(config.model.name) and 'model.dropout' not in given:
        config.model.dropout = None  # the `when` table does not know the network
    fields.check(config)
    return _plan(config, start)


def of_run(folder: Path, data: Path | None = None) -> Plan:
    """The plan of the run in a folder, from the fields that it used; it starts from its own variables.

    `data` is the folder of its cells, if they were moved. UserError if there is no run, if it is of a release without
    some of the fields, and if its cells are not where they were.
    """
    return _plan(config_of_run(folder, data), Start(folder, f'{folder}'))


def config_of_run(folder: Path, data: Path | None = None) -> ConfigDict:
    """The config that the run in a folder used; `data` and UserError as of `of_run`."""
    used = run_folder.earlier(folder)
    if not used:
        raise UserError(f'{folder}: holds no config.json, so its data are unknown; name a run folder')
    absent = sorted({*FIELDS} - {*used} - {*later_fields()})
    if absent:
        raise UserError(f'{folder}: was made by an older release, without {", ".join(absent)}; give its command anew')
    config = fields.nested({**later_fields(), **used, **({'data.root': str(data.absolute())} if data else {})})
    root = fields.data_options(config).root
    if root and not data and not Path(root).is_dir():
        raise UserError(f'{root}: the cells of {folder} are no longer there; name their folder with --data DIR')
    return config


def asks_network(config: ConfigDict) -> bool:
    """True if a run needs the network of `config.model`: a classical system that measures cells by hand does not."""
    system = _system(config)
    return system is None or NETWORK in system.parts.features


def find_start(name: str, init: str, demo: bool) -> Start:
    """The model folder to start from, fetched if need be, or none with the reason if the start is random."""
    if init == 'random':
        return Start(None, 'random')
    kind, _, weights = init.partition(':')
    if kind != 'imagenet':
        return Start(Path(init).expanduser(), init)
    try:
        return Start(weight_cache.obtain(name, weights), 'imagenet')
    except UserError as error:
        if demo:
            return Start(None, f'random, since ImageNet weights could not be had: {error}')
        raise UserError(*error.problems, 'or start from random weights with --config.model.init=random') from None


def _plan(config: ConfigDict, start: Start) -> Plan:
    split, augment, optimizer = config.split, config.augment, config.optimizer
    data = fields.data_options(config)
    return Plan(
        fields=fields.flat(config),
        demo=data.synthetic,
        seed=config.seed,
        batch_size=config.batch_size,
        data=data,
        preparation=CellPreparation(
            stain=config.data.stain,
            mask=config.data.mask,
            mask_part=config.data.mask_part,
            mask_fill=config.data.mask_fill,
            crop=config.data.crop,
        ),
        split=SplitOptions(
            split.protocol, split.test, split.validation, split.folds, max(split.fold, 0), max(split.repeat, 0)
        ),
        augmentation=Augmentation(**{name: augment[name] for name in Augmentation._fields}),
        network=_network(config),
        start=start,
        training=TrainingOptions(
            epochs=config.epochs,
            equalize=config.data.equalize,
            optimizer=OptimizerOptions(**{name: optimizer[name] for name in OptimizerOptions._fields}),
            factors=optimizer.factors,
            freeze=config.model.freeze,
            patience=config.stop.patience,
            save_seconds=config.checkpoint.seconds,
            gradients_every=config.gradients.every,
        ),
        system=_system(config),
    )


def _network(config: ConfigDict) -> NetworkSpec:
    chosen = {name: config.model[name] for name in ('head', 'size', 'width', 'dropout')}
    if 'width' not in models.options(config.model.name) and chosen['width'] == 1:
        del chosen['width']  # a network of the user's own need not have it
    return NetworkSpec(config.model.name, {**chosen, 'color': config.data.color})


def _system(config: ConfigDict) -> NamedSystem | None:
    parts = config.baseline.to_dict()
    name = parts.pop('system')
    return NamedSystem(name, assembled(name, parts)) if name else None
