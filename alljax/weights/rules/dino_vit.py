"""DINOv2's ViT as its publisher names it (DinoBloom's files too) and as timm does."""

import math

import jax
import numpy as np

from alljax.weights.rules.rule import Rule, Transform, convolution, dense, layer_norm

BLOCK = r'blocks\.(?:\d+\.)?(\d+)'  # a training script of the publisher groups its blocks, and counts on


def resample_positions(side: int) -> Transform:
    """Embeddings of a square grid of positions [1, positions, channels] for one of `side` by `side`, the class first.

    As timm's `resample_abs_pos_embed`: bicubic with antialiasing (Keys' cubic, a = -0.5), the class token's own kept.
    timm's files of networks with registers have none for the class token, which is then 0. What is no grid is left.
    """

    def transform(embedding: np.ndarray) -> np.ndarray:
        if embedding.ndim != 3:
            return embedding  # `apply_rules` reports its shape
        count, channels = embedding.shape[1:]
        first, patches = embedding[:, :1], embedding[:, 1:]
        if math.isqrt(count) ** 2 == count:
            first, patches = np.zeros_like(first), embedding
        old = math.isqrt(patches.shape[1])
        if old == 0 or old**2 != patches.shape[1]:
            return embedding
        if old != side:
            grid = patches.astype(np.float32).reshape(old, old, channels)
            found = jax.image.resize(grid, (side, side, channels), 'cubic')
            patches = np.asarray(found).reshape(1, -1, channels)
        return np.concatenate([first, patches], 1)

    return transform


def rules(side: int) -> tuple[Rule, ...]:
    """The table of a network with `side` by `side` patches."""
    return (
        *convolution(r'patch_embed\.proj', 'patches'),
        Rule('cls_token', 'params/class_token'),
        Rule('register_tokens|reg_token', 'params/registers'),
        Rule('pos_embed', 'params/position', resample_positions(side)),
        Rule('mask_token', ''),  # of training by masked patches
        *layer_norm(rf'{BLOCK}\.norm([12])', r'block\1/norm\2'),
        *dense(rf'{BLOCK}\.attn\.qkv', r'block\1/attention/in'),
        *dense(rf'{BLOCK}\.attn\.proj', r'block\1/attention/out'),
        Rule(rf'{BLOCK}\.ls([12])\.gamma', r'params/block\1/layer_scale\2'),
        *dense(rf'{BLOCK}\.mlp\.fc1', r'block\1/expand'),
        *dense(rf'{BLOCK}\.mlp\.fc2', r'block\1/project'),
        *layer_norm('norm', 'norm'),
        *dense('head', 'head/logits'),
    )
