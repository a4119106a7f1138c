"""A trained network by the path of its run, or by the name of published weights."""

import logging
from pathlib import Path

from alljax.errors import UserError, nearest
from alljax.runs import final_model, network
from alljax.runs.network import TrainedNetwork
from alljax.weights import published, weight_cache

log = logging.getLogger(__name__)


def load(what: str | Path) -> TrainedNetwork:
    """The network of a run, of a cross-validation, or of a model folder, else published weights, fetched if need be.

    'resnet50' stands for that network's recommended weights, 'resnet50:IMAGENET1K_V1' for others. Of a cross-validation
    it is the final model; the log says how good it may be. UserError for what is neither a folder nor such a name, and
    for a classical system.
    """
    path = Path(what)
    if path.exists():
        trained = network.load(path)
        if said := final_model.about(path):
            log.warning(said)
        return trained
    name, _, weights = str(what).partition(':')
    known = dict.fromkeys(row.network for row in published.all_published())
    if name not in known:
        raise UserError(
            f'{what}: there is no such folder, and no such network with published weights; name a run folder, or a '
            f'network that alljax weights --list shows{nearest(name, known)}'
        )
    return network.load(weight_cache.obtain(name, weights))
