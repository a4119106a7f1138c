"""torchvision's SqueezeNet, whose features are one numbered list of convolutions, rectifiers, pools and fires."""

from collections.abc import Iterator

from alljax.models.squeezenet import FIRES, POOLS
from alljax.weights.rules.rule import Rule, convolution


def rules(name: str) -> tuple[Rule, ...]:
    """The table of one size."""
    return (
        *convolution(r'features\.0', 'conv1'),
        *_fires(POOLS[name]),
        *convolution(r'classifier\.1', 'head/logits'),
    )


def _fires(pools: tuple[int, ...]) -> Iterator[Rule]:
    place = 3  # after conv1, its rectifier and its pool
    for fire in range(2, 2 + len(FIRES)):
        yield from convolution(rf'features\.{place}\.(squeeze|expand1x1|expand3x3)', rf'fire{fire}/\1')
        place += 2 if fire in pools else 1
