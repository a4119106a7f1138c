"""Swin V2 as timm names it, whose stages count from 0 and begin with their merging of positions."""

from collections.abc import Iterator

import numpy as np

from alljax.weights.rules.rule import Rule, convolution, dense, layer_norm


def _stages() -> Iterator[Rule]:
    for stage in range(1, 5):
        source, block = rf'layers\.{stage - 1}\.blocks\.(\d+)', rf'stage{stage}_\1'
        attention = f'{block}/attention'
        yield Rule(rf'{source}\.attn\.logit_scale', f'params/{attention}/logit_scale')
        yield Rule(rf'{source}\.attn\.q_bias', f'params/{attention}/query_bias')
        yield Rule(rf'{source}\.attn\.v_bias', f'params/{attention}/value_bias')
        yield Rule(rf'{source}\.attn\.qkv\.weight', f'params/{attention}/in/kernel', np.transpose)
        yield from dense(rf'{source}\.attn\.proj', f'{attention}/out')
        yield from dense(rf'{source}\.attn\.cpb_mlp\.0', f'{attention}/distance_hidden')
        yield Rule(rf'{source}\.attn\.cpb_mlp\.2\.weight', f'params/{attention}/distance_bias/kernel', np.transpose)
        yield from layer_norm(rf'{source}\.norm([12])', rf'{block}/norm\2')
        yield from dense(rf'{source}\.mlp\.fc1', f'{block}/expand')
        yield from dense(rf'{source}\.mlp\.fc2', f'{block}/project')
        if stage > 1:
            merge, target = rf'layers\.{stage - 1}\.downsample', f'downsample{stage}'
            yield Rule(rf'{merge}\.reduction\.weight', f'params/{target}/reduction/kernel', np.transpose)
            yield from layer_norm(rf'{merge}\.norm', f'{target}/norm')


RULES = (
    *convolution(r'patch_embed\.proj', 'stem'),
    *layer_norm(r'patch_embed\.norm', 'stem_norm'),
    *_stages(),
    *layer_norm('norm', 'norm'),
    *dense(r'head\.fc', 'head/logits'),
)
