"""torchvision's Inception v3; its published file holds the auxiliary classifier too, which has no place here."""

from alljax.weights.rules.rule import Rule, batch_norm, convolution, dense

STEM, BRANCH = r'(Conv2d_\w+)', r'(Mixed_\w+)\.(branch\w+)'

RULES = (
    *convolution(rf'{STEM}\.conv', r'\1/conv'),
    *batch_norm(rf'{STEM}\.bn', r'\1/bn'),
    *convolution(rf'{BRANCH}\.conv', r'\1/\2/conv'),
    *batch_norm(rf'{BRANCH}\.bn', r'\1/\2/bn'),
    Rule(r'AuxLogits\..*', ''),
    *dense('fc', 'head/logits'),
)
