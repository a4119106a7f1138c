"""ConvNeXt V2 as timm names it, whose stages count from 0 and begin with their downsampling."""

from collections.abc import Iterator

from alljax.weights.rules.rule import Rule, convolution, dense, layer_norm, pointwise


def _stages() -> Iterator[Rule]:
    for stage in range(1, 5):
        source, block = rf'stages\.{stage - 1}\.blocks\.(\d+)', rf'stage{stage}_\1'
        yield from convolution(rf'{source}\.conv_dw', f'{block}/depthwise')
        yield from layer_norm(rf'{source}\.norm', f'{block}/norm')
        # timm writes the dense layers of its smaller networks as 1×1 convolutions; this takes both
        yield from pointwise(rf'{source}\.mlp\.fc1', f'{block}/expand')
        yield from layer_norm(rf'{source}\.mlp\.grn', f'{block}/response_norm')
        yield from pointwise(rf'{source}\.mlp\.fc2', f'{block}/project')
        if stage > 1:
            yield from layer_norm(rf'stages\.{stage - 1}\.downsample\.0', f'downsample{stage}/norm')
            yield from convolution(rf'stages\.{stage - 1}\.downsample\.1', f'downsample{stage}/conv')


RULES = (
    *convolution(r'stem\.0', 'stem/conv'),
    *layer_norm(r'stem\.1', 'stem/norm'),
    *_stages(),
    *layer_norm(r'head\.norm', 'norm'),
    *dense(r'head\.fc', 'head/logits'),
)
