r"""Table 6 of the paper: AlexNet beside the systems that it ranks itself against, here run on the same cells and folds.

    python launch.py --config=configs/table6.py --config.data.root=/path/to/ALL_IDB2
    python launch.py --config=configs/table6.py --config.data.name=folder --config.data.task=classes \
        --config.data.root=/path/to/cells

The printed numbers are other people's on other pictures, so they rank nothing; `python -m alljax.baselines --list` says
what each system is made of. --config.systems="('putzu2014', 'rawat2017')" runs some of them; --config.network=resnet50
chooses the network of today, which also gives vogado2017 its features; --config.starts="('random', 'imagenet')" says
what AlexNet and that network begin with. It learns by the recipe of configs/modern.py, for as many epochs as AlexNet.
"""

from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.baselines.systems import SYSTEMS
from alljax.errors import UserError
from alljax.evaluation import paper
from alljax.sweep import PAPER_TASKS, Sweep, Variant
from configs import modern, subtype

PEERS = {  # system -> its row in the paper's table
    'joshi2013': 'Joshi et al. 2013',
    'chatap2014': 'Chatap et al. 2014',
    'putzu2014': 'Putzu et al. 2014',
    'moradiamin2015_kmeans': 'MoradiAmin et al. 2015',
    'moradiamin2015_fcm': 'MoradiAmin et al. 2015',
    'rawat2017': 'Rawat et al. 2017',
    'alexnet': 'Shafique & Tehsin 2018',
}


def get_config() -> ConfigDict:
    """The paper's settings; the sweep sets task, system and network."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    config.systems = tuple(SYSTEMS)  # of alljax.baselines.systems.SYSTEMS, in the order of the rows
    config.network = 'efficientnet_b0'  # the network of today, of `python -m alljax.weights --list`
    config.starts = ('imagenet', 'imagenet')  # model.init of AlexNet and of the network of today
    config.when.random = {name: value for name, value in config.when.random.items() if name != 'augment'}  # same cells
    return config


def sweep(config: ConfigDict) -> Sweep:
    """AlexNet, a network of today, and the systems, compared with AlexNet."""
    problems = fields.unknown('config.systems', config.systems, SYSTEMS)
    if len(config.starts) != 2:
        problems.append(f'config.starts is {config.starts}, expected two: of {config.model.name} and {config.network}')
    if problems:
        raise UserError(*problems)
    tasks = PAPER_TASKS if config.data.task in PAPER_TASKS else ('',)
    peers = {row['name']: row for row in paper.tables()['table6_peers']}
    variants = [variant for task in tasks for variant in _of_task(config, task, peers)]
    images = ', '.join(f'{name} {row["images"]}' for name, row in peers.items())
    notes = (
        f'The paper takes its peers’ numbers from their own articles, on other pictures (how many: {images}). It has '
        'one row for MoradiAmin et al., which stands beside both of their systems. AlexNet’s is macro precision.',
        'The systems are rebuilt from what is published; where that is silent the plainest way was taken.',
    )
    return Sweep(
        'Table 6: the classical systems', variants, source=paper.SOURCE, notes=notes if tasks[0] else notes[1:]
    )


def _of_task(config: ConfigDict, task: str, peers: dict[str, dict[str, Any]]) -> list[Variant]:
    def variant(name: str, changes: dict[str, Any]) -> Variant:
        percent = peers[PEERS[name]][task] if task and name in PEERS else None
        number = None if percent is None else percent / 100
        which = 'macro_precision' if name == first else 'accuracy'
        printed = {measure: number if measure == which else None for measure in ('accuracy', 'macro_precision')}
        its = {**changes, 'data.task': task} if task else changes
        return Variant(words(name), its, printed, '' if name == first else words(first))

    def words(name: str) -> str:
        return f'{name}, {task}' if task else name

    first = config.model.name
    systems = [variant(name, {'baseline.system': name} | _network(config, name)) for name in config.systems]
    return [variant(first, {'model.init': config.starts[0]}), variant(config.network, _recipe(config)), *systems]


def _network(config: ConfigDict, system: str) -> dict[str, Any]:
    """The network of today for a system that measures with one."""
    asked = 'network' in SYSTEMS[system]().features
    return {'model.name': config.network, 'model.init': config.starts[1]} if asked else {}


def _recipe(config: ConfigDict) -> dict[str, Any]:
    """The network of today and how it learns: what configs/modern.py sets of the optimizer."""
    theirs, ours = fields.flat(modern.get_config()), fields.flat(subtype.get_config())
    changed = {key: value for key, value in theirs.items() if key.startswith('optimizer.') and value != ours[key]}
    return {**changed, 'model.name': config.network, 'model.init': config.starts[1]}
