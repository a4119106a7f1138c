"""torchvision's ConvNeXt, whose features are one numbered list of stages with downsampling between."""

from collections.abc import Iterator

import numpy as np

from alljax.weights.rules.rule import Rule, convolution, dense, layer_norm


def _features() -> Iterator[Rule]:
    for stage in range(1, 5):
        source, block = rf'features\.{2 * stage - 1}\.(\d+)', rf'stage{stage}_\1'
        yield from convolution(rf'{source}\.block\.0', f'{block}/depthwise')
        yield from layer_norm(rf'{source}\.block\.2', f'{block}/norm')
        yield from dense(rf'{source}\.block\.3', f'{block}/expand')
        yield from dense(rf'{source}\.block\.5', f'{block}/project')
        yield Rule(rf'{source}\.layer_scale', f'params/{block}/layer_scale', np.ravel)
        if stage > 1:
            yield from layer_norm(rf'features\.{2 * stage - 2}\.0', f'downsample{stage}/norm')
            yield from convolution(rf'features\.{2 * stage - 2}\.1', f'downsample{stage}/conv')


RULES = (
    *convolution(r'features\.0\.0', 'stem/conv'),
    *layer_norm(r'features\.0\.1', 'stem/norm'),
    *_features(),
    *layer_norm(r'classifier\.0', 'norm'),
    *dense(r'classifier\.2', 'head/logits'),
)
