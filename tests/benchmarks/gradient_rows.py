"""The rows of gradients.py: with whom each call is compared, on which network, and how much both sides compute.

`alexnet` is AlexNet with the paper's head on images of 227 × 227, `head` that head alone on its 4096 features, `small`
three convolutions and two dense layers on images of 32 × 32.
"""

from typing import NamedTuple

import numpy as np

CLASSES = 4
SHAPES = {'alexnet': (227, 227, 3), 'head': (4096,), 'small': (32, 32, 3)}
STEPS, SAMPLES, RADIUS, DAMPING = 32, 32, 0.02, 0.01
FEW = 16  # samples, steps or probes of what costs more
WINDOW, STRIDE = 57, 34  # of occlusion: 36 places
DELETED = 48  # steps of deletion
EIGENVALUES, ITERATIONS = 3, 20
TESTED = 8  # examples of which the small network's influences are asked


class Row(NamedTuple):
    """A call of ours, and with whom on what it is compared."""

    peer: str
    network: str
    count: int  # examples


ROWS = {
    'saliency': Row('captum', 'alexnet', 28),
    'integrated_gradients': Row('captum', 'alexnet', 1),
    'smoothgrad': Row('captum', 'alexnet', 1),
    'guided_backprop': Row('captum', 'alexnet', 8),
    'deep_lift': Row('captum', 'alexnet', 8),
    'gradient_shap': Row('captum', 'alexnet', 2),
    'grad_cam': Row('captum', 'alexnet', 28),
    'guided_grad_cam': Row('captum', 'alexnet', 8),
    'score_cam': Row('grad-cam', 'alexnet', 1),
    'layer_conductance': Row('captum', 'alexnet', 2),
    'occlusion': Row('captum', 'alexnet', 1),
    'superpixel_ablation': Row('captum', 'alexnet', 1),
    'infidelity': Row('captum', 'alexnet', 4),
    'max_sensitivity': Row('captum', 'alexnet', 4),
    'deletion': Row('quantus', 'small', 32),
    'road': Row('grad-cam', 'small', 8),
    'per-example norms': Row('BackPACK', 'alexnet', 8),
    'per_example_gradients': Row('BackPACK', 'head', 28),
    'empirical Fisher diagonal': Row('BackPACK', 'alexnet', 8),
    'Gauss-Newton diagonal': Row('BackPACK', 'alexnet', 8),
    'Hessian product': Row('torch', 'alexnet', 8),
    'Gauss-Newton product': Row('curvlinops', 'alexnet', 8),
    'eigenvalues': Row('curvlinops', 'head', 32),
    'stochastic_trace': Row('curvlinops', 'head', 64),
    'spectral_density': Row('curvlinops', 'head', 64),
    'K-FAC, solved': Row('curvlinops', 'small', 64),
    'EK-FAC, solved': Row('curvlinops', 'small', 64),
    'Laplace, last layer': Row('laplace-torch', 'alexnet', 8),
    'Laplace, K-FAC': Row('laplace-torch', 'small', 16),
    'tracin': Row('captum', 'alexnet', 4),
    'tracin, last layer': Row('captum', 'alexnet', 28),
    'trak': Row('traker', 'small', 64),
}


def examples(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Seeded inputs and labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *SHAPES[name])).astype(np.float32), np.arange(count) % CLASSES


def blocks(size: int, count: int) -> np.ndarray:
    """Square superpixels, `count` by `count`."""
    row = np.arange(size) * count // size
    return row[:, None] * count + row
