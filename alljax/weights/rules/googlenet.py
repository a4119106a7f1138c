"""torchvision's GoogLeNet; its published file holds the auxiliary classifiers too, which have no place here."""

from alljax.weights.rules.rule import Rule, batch_norm, convolution, dense

BRANCH = r'(inception\d\w)\.branch'

RULES = (
    *convolution(r'conv(\d)\.conv', r'conv\1/conv'),
    *batch_norm(r'conv(\d)\.bn', r'conv\1/bn'),
    *convolution(rf'{BRANCH}1\.conv', r'\1/branch1/conv'),
    *batch_norm(rf'{BRANCH}1\.bn', r'\1/branch1/bn'),
    *convolution(rf'{BRANCH}(\d)\.(\d)\.conv', r'\1/branch\2_\3/conv'),
    *batch_norm(rf'{BRANCH}(\d)\.(\d)\.bn', r'\1/branch\2_\3/bn'),
    Rule(r'aux\d\..*', ''),
    *dense('fc', 'head/logits'),
)
