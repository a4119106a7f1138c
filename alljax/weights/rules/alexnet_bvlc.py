"""Caffe's reference AlexNet, which sees blue first."""

import numpy as np

from alljax.weights.rules.rule import convolution, dense, dense_after_map


def _from_bgr(weight: np.ndarray) -> np.ndarray:
    return weight.transpose(2, 3, 1, 0)[:, :, ::-1]


KERNEL, BIAS = convolution('conv1', 'conv1')

RULES = (
    KERNEL._replace(transform=_from_bgr),
    BIAS,
    *convolution('(conv[2-5])', r'\1'),
    *dense_after_map('fc6', 'fc6', side=6),
    *dense('fc7', 'fc7'),
    *dense('fc8', 'head/logits'),
)
