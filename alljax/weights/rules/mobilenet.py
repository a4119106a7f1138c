"""torchvision's MobileNet v2 and v3, and what its EfficientNet has in common with them."""

from collections.abc import Iterator

from alljax.models.mobilenet import LARGE, SMALL
from alljax.weights.rules.rule import Rule, batch_norm, convolution, dense, pointwise


def rules(name: str) -> tuple[Rule, ...]:
    """The table of one size."""
    return tuple(_v2() if name == 'mobilenet_v2' else _v3(name))


def conv_norm(source: str, target: str) -> tuple[Rule, ...]:
    """A Conv2dNormActivation of torchvision."""
    return *convolution(rf'{source}\.0', f'{target}/conv'), *batch_norm(rf'{source}\.1', f'{target}/bn')


def inverted(source: str, target: str, *, expands: bool, squeezes: bool) -> Iterator[Rule]:
    """A block of v3 or EfficientNet: a numbered list of the layers that it has."""
    layers = ['expand'] * expands + ['depthwise'] + ['squeeze'] * squeezes + ['project']
    for place, layer in enumerate(layers):
        if layer == 'squeeze':
            yield from pointwise(rf'{source}\.{place}\.fc1', f'{target}/squeeze/reduce')
            yield from pointwise(rf'{source}\.{place}\.fc2', f'{target}/squeeze/expand')
        else:
            yield from conv_norm(rf'{source}\.{place}', f'{target}/{layer}')


def _v2() -> Iterator[Rule]:
    yield from conv_norm(r'features\.0', 'stem')
    for place in range(1, 18):
        source, target = rf'features\.{place}\.conv', f'block{place}'
        expands = place > 1
        if expands:
            yield from conv_norm(rf'{source}\.0', f'{target}/expand')
        yield from conv_norm(rf'{source}\.{0 + expands}', f'{target}/depthwise')
        yield from convolution(rf'{source}\.{1 + expands}', f'{target}/project/conv')
        yield from batch_norm(rf'{source}\.{2 + expands}', f'{target}/project/bn')
    yield from conv_norm(r'features\.18', 'last')
    yield from dense(r'classifier\.1', 'head/logits')


def _v3(name: str) -> Iterator[Rule]:
    blocks = LARGE if name == 'mobilenet_v3_large' else SMALL
    yield from conv_norm(r'features\.0', 'stem')
    before = 16
    for place, block in enumerate(blocks, 1):
        yield from inverted(
            rf'features\.{place}\.block', f'block{place}', expands=block.expanded != before, squeezes=block.squeezes
        )
        before = block.channels
    yield from conv_norm(rf'features\.{len(blocks) + 1}', 'last')
    yield from dense(r'classifier\.0', 'fc')
    yield from dense(r'classifier\.3', 'head/logits')
