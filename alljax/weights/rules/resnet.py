"""torchvision's ResNet, ResNeXt and Wide ResNet."""

from alljax.weights.rules.rule import batch_norm, convolution, dense

BLOCK = r'layer(\d)\.(\d+)'

RULES = (
    *convolution('conv1', 'conv1'),
    *batch_norm('bn1', 'bn1'),
    *convolution(rf'{BLOCK}\.conv(\d)', r'layer\1_\2/conv\3'),
    *batch_norm(rf'{BLOCK}\.bn(\d)', r'layer\1_\2/bn\3'),
    *convolution(rf'{BLOCK}\.downsample\.0', r'layer\1_\2/downsample'),
    *batch_norm(rf'{BLOCK}\.downsample\.1', r'layer\1_\2/downsample_bn'),
    *dense('fc', 'head/logits'),
)
