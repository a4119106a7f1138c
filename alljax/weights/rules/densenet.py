"""torchvision's DenseNet, whose published files have the older names norm.1 and conv.1 for norm1 and conv1."""

from alljax.weights.rules.rule import batch_norm, convolution, dense

LAYER = r'features\.denseblock(\d)\.denselayer(\d+)'

RULES = (
    *convolution(r'features\.conv0', 'conv0'),
    *batch_norm(r'features\.norm([05])', r'norm\1'),
    *convolution(rf'{LAYER}\.conv\.?(\d)', r'denseblock\1_layer\2/conv\3'),
    *batch_norm(rf'{LAYER}\.norm\.?(\d)', r'denseblock\1_layer\2/norm\3'),
    *convolution(r'features\.(transition\d)\.conv', r'\1/conv'),
    *batch_norm(r'features\.(transition\d)\.norm', r'\1/norm'),
    *dense('classifier', 'head/logits'),
)
