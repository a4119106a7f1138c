"""torchvision's AlexNet."""

from alljax.weights.rules.rule import convolution, dense, dense_after_map

CONVOLUTIONS = {'conv1': 0, 'conv2': 3, 'conv3': 6, 'conv4': 8, 'conv5': 10}

RULES = (
    *(rule for name, place in CONVOLUTIONS.items() for rule in convolution(rf'features\.{place}', name)),
    *dense_after_map(r'classifier\.1', 'fc6', side=6),
    *dense(r'classifier\.4', 'fc7'),
    *dense(r'classifier\.6', 'head/logits'),
)
