"""torchvision's EfficientNet and EfficientNetV2."""

from collections.abc import Iterator

from alljax.models.efficientnet import B0, V2, Stage
from alljax.weights.rules.mobilenet import conv_norm, inverted
from alljax.weights.rules.rule import Rule, dense


def rules(name: str) -> tuple[Rule, ...]:
    """The table of one size; those of the first version differ in nothing that the table says."""
    return tuple(_rules(V2[name[-1]] if '_v2_' in name else B0))


def _rules(stages: tuple[Stage, ...]) -> Iterator[Rule]:
    yield from conv_norm(r'features\.0', 'stem')
    for place, stage in enumerate(stages, 1):
        source, target, expands = rf'features\.{place}\.(\d+)\.block', rf'stage{place}_\1', stage.factor > 1
        if not stage.fused:
            yield from inverted(source, target, expands=expands, squeezes=True)
            continue
        yield from conv_norm(rf'{source}\.0', f'{target}/fused')
        if expands:
            yield from conv_norm(rf'{source}\.1', f'{target}/project')
    yield from conv_norm(rf'features\.{len(stages) + 1}', 'last')
    yield from dense(r'classifier\.1', 'head/logits')
