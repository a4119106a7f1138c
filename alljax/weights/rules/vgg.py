"""torchvision's VGG, whose features are one numbered list of convolutions, normalizations, rectifiers and pools."""

from collections.abc import Iterator

from alljax.models.vgg import BLOCKS
from alljax.weights.rules.rule import Rule, batch_norm, convolution, dense, dense_after_map


def rules(name: str) -> tuple[Rule, ...]:
    """The table of one size."""
    return (
        *_features(BLOCKS[name.removesuffix('_bn')], name.endswith('_bn')),
        *dense_after_map(r'classifier\.0', 'fc6', side=7),
        *dense(r'classifier\.3', 'fc7'),
        *dense(r'classifier\.6', 'head/logits'),
    )


def _features(blocks: tuple[int, ...], normalized: bool) -> Iterator[Rule]:
    place = 0
    for block, count in enumerate(blocks, 1):
        for index in range(1, count + 1):
            yield from convolution(rf'features\.{place}', f'conv{block}_{index}')
            if normalized:
                yield from batch_norm(rf'features\.{place + 1}', f'norm{block}_{index}')
            place += 3 if normalized else 2
        place += 1  # the pool
