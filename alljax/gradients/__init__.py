"""Gradient analysis of any classifier `apply(params, x) -> logits [N, classes]`; x is [N, height, width, channels].

Pure functions: `batch_size` bounds the memory, randomness comes from `key`, and a network in training mode is refused.
A function is compiled once for an `apply` and its shapes: define `apply` once, not anew in each call.
"""

from alljax.gradients.class_activation_maps import cam, resize_map
from alljax.gradients.curvature import Density, Operator, density, eigenvalues, operator, trace
from alljax.gradients.example_gradients import (
    Similarity,
    Statistics,
    check,
    class_gradients,
    per_example,
    similarity,
    statistics,
    update_ratio,
)
from alljax.gradients.faithfulness import deletion, infidelity, insertion, max_sensitivity
from alljax.gradients.feature_visualization import visualize
from alljax.gradients.gradient_attribution import integrated, saliency, smooth
from alljax.gradients.guided_backpropagation import guided
from alljax.gradients.influence import ntk, tracin
from alljax.gradients.localization_scores import Localization, localization
from alljax.gradients.loss_landscape import filter_normalized, line, over, plane, random_direction
from alljax.gradients.model_randomization import randomization
from alljax.gradients.perturbation_attribution import occlusion, rise

__all__ = [
    'Density',
    'Localization',
    'Operator',
    'Similarity',
    'Statistics',
    'cam',
    'check',
    'class_gradients',
    'deletion',
    'density',
    'eigenvalues',
    'filter_normalized',
    'guided',
    'infidelity',
    'insertion',
    'integrated',
    'line',
    'localization',
    'max_sensitivity',
    'ntk',
    'occlusion',
    'operator',
    'over',
    'per_example',
    'plane',
    'random_direction',
    'randomization',
    'resize_map',
    'rise',
    'saliency',
    'similarity',
    'smooth',
    'statistics',
    'trace',
    'tracin',
    'update_ratio',
    'visualize',
]
