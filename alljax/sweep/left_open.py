"""Values that a config leaves to the machine and to the cells, found once for all of its runs."""

import logging
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.config import network_choice
from alljax.config.classical_system_fields import asks_network
from alljax.config.network_choice import AUTO
from alljax.config.resolve import resolve
from alljax.data import datasets, split
from alljax.data.cells import Cells
from alljax.data.split import GIVEN, LEAVE_ONE, SplitOptions
from alljax.errors import UserError, some
from alljax.sweep import execution
from alljax.sweep.execution import Loaded

log = logging.getLogger(__name__)

MOST_FOLDS = 5


def found(
    config: ConfigDict,
    overrides: Mapping[str, str],
    earlier: Mapping[str, Any],
    loaded: Loaded,
) -> ConfigDict:
    """The config with its data set, its network and its number of folds named; the same where it names all.

    `earlier` holds the fields of what is in the folder already; cells that are read are added to those `loaded`.
    """
    config = _with_data_set(config)
    if config.model.name == AUTO and not config.ensemble.candidates and asks_network(config):
        demo = fields.data_options(config).synthetic
        choice = network_choice.chosen(config.model.init, earlier, demo=demo)
        log.info('model.name is auto: %s, from %s', choice.name, choice.init)
        config = fields.with_fields(config, {'model.name': choice.name, 'model.init': choice.init})
    if config.split.folds:
        return config
    if config.split.protocol in (LEAVE_ONE, GIVEN):
        return fields.with_fields(config, {'split.folds': 1})
    plan = resolve(fields.with_fields(config, {'split.folds': MOST_FOLDS}), overrides, earlier)
    folds = most_folds(execution.load(plan, loaded), plan.split, plan.seed)
    if folds < MOST_FOLDS:
        log.warning('split.folds is %d in the place of %d: the groups allow no more', folds, MOST_FOLDS)
    return fields.with_fields(config, {'split.folds': folds})


def _with_data_set(config: ConfigDict) -> ConfigDict:
    """The config with the set and the task that its folder is known as, which config.json then names.

    ALL-IDB2 and drawn cells stay 'auto', as in runs of earlier releases, for which it meant these.
    """
    if datasets.AUTO not in (config.data.name, config.data.task):
        return config
    options = fields.data_options(config)
    if found := datasets.problems(options._replace(name=config.data.name)):
        raise UserError(*found)
    dataset = datasets.DATASETS[options.name]
    earlier = options.name == 'all_idb2' or bool(dataset.draw)
    if config.data.name == datasets.AUTO and not earlier:
        log.info(datasets.known_as(options))
    name = config.data.name if earlier else options.name
    return fields.with_fields(config, {'data.name': name, 'data.task': options.task})


def most_folds(cells: Cells, options: SplitOptions, seed: int, most: int = MOST_FOLDS) -> int:
    """The largest number of folds, up to `most`, into which cells can be divided; UserError if it is not even two."""
    for folds in range(most, 2, -1):
        try:
            split.split(cells, options._replace(folds=folds, fold=0), seed)
        except UserError:
            continue
        return folds
    if said := _too_few(cells):
        raise UserError(said)
    split.split(cells, options._replace(folds=2, fold=0), seed)
    return 2


def _too_few(cells: Cells) -> str:
    """A sentence on what cells lack to be tested at all, where no number of folds was set; '' if they lack nothing.

    A class of a single cell, or a single slide, cannot both train and test.
    """
    root, slides = cells.origin.root, sorted({cells.group_names[group] for group in cells.groups})
    single = [name for name, count in cells.counts().items() if count == 1]
    if single:
        return (
            f'{root}: {some(single, 4)} {"has" if len(single) == 1 else "have"} a single cell, and a model is tested '
            'on cells that it has not seen: every class needs two at least, one to learn from and one to test on, and '
            'dozens from several slides for a number that means something; add cells, or move the folder of this class '
            'away'
        )
    if len(slides) == 1:
        return (
            f'{root}: all {len(cells)} cells are of one slide or patient ({slides[0]}), and a model is tested on '
            'slides that it has not seen: two are needed at least, each with every class, and ten or more for a number '
            'that means something; add cells of other slides, or correct groups.csv'
        )
    return ''
