"""Gradient analysis of any network `apply(params, x) -> logits [N, classes]`; x is [N, ...], images or not.

One convention for all functions. What asks a network takes `apply` first and `params` second; `apply` is a function
`apply(params, x)` or anything that has such a method, as a linen module or `alljax.models.Model`; `SplitNetwork` shows
a layer inside a network of any library. What judges an attribution method takes the method before them, and what needs
a loss takes `loss(params, x, y)`, a loss for each example, instead of `apply`. Every attribution method is called
`method(apply, params, x, target, **options)` and returns `Attribution(map, gap)`; what judges an attribution takes its
map: `deletion(apply, params, x, target, found.map)`.

Pure functions: `batch_size` bounds the memory, randomness comes from `key`, and a network in training mode is refused.
A function is compiled once for an `apply` and its shapes: define `apply` once, not anew in each call. All but
`check_gradient` work within `jax.jit` and `jax.vmap`, where values are not known and therefore not checked.

In the examples of the functions `x` are four images [4, 8, 8, 3] and `y` their classes, 0 to 2; `apply` and `loss` are
functions of `params`, {'weights', 'bias'}; `model` is a linen module with the layers 'stem' and 'head', and `variables`
are its own; `op` is `curvature_operator(apply, params, x, y)`, and `key` is `jax.random.key(0)`.
"""

from alljax.gradients.attention_maps import attention_rollout, attention_weights, gradient_attention
from alljax.gradients.baseline_attribution import deep_lift, gradient_shap
from alljax.gradients.channel_maps import ablation_cam, eigen_cam, guided_grad_cam, score_cam
from alljax.gradients.class_activation_maps import grad_cam, resize_map
from alljax.gradients.concepts import ConceptTest, ConceptVector, concept_vector, tcav
from alljax.gradients.curvature import Operator, curvature_operator
from alljax.gradients.diagonal_curvature import curvature_diagonal
from alljax.gradients.example_gradients import class_gradients, per_example_gradients
from alljax.gradients.example_statistics import (
    Similarity,
    Statistics,
    gradient_similarity,
    gradient_statistics,
    update_ratio,
)
from alljax.gradients.faithfulness import Curve, deletion, infidelity, insertion, max_sensitivity
from alljax.gradients.feature_visualization import visualize_channel
from alljax.gradients.finite_differences import check_gradient
from alljax.gradients.first_order_influence import influence_functions, self_influence
from alljax.gradients.gradient_attribution import CompletenessWarning, integrated_gradients, saliency, smoothgrad
from alljax.gradients.guided_backpropagation import guided_backprop
from alljax.gradients.head_retraining import (
    LinearHeads,
    fit_linear_heads,
    held_out_losses,
    leave_one_out,
    representer_points,
    subset_margins,
)
from alljax.gradients.image_segments import superpixel_ablation, superpixels
from alljax.gradients.imputed_faithfulness import Irof, Road, irof, road
from alljax.gradients.influence import gradient_cosine, neural_tangent_kernel, tracin
from alljax.gradients.influence_scores import Detection, linear_datamodeling_score, mislabel_detection
from alljax.gradients.intermediates import layer_names, layer_output
from alljax.gradients.jacobian import JacobianOperator, jacobian_operator
from alljax.gradients.kronecker_curvature import (
    KroneckerFactors,
    KroneckerLayer,
    kronecker_factors,
    kronecker_product,
    kronecker_solve,
)
from alljax.gradients.laplace import LaplaceApproximation, LaplacePrediction, laplace_approximation, laplace_predict
from alljax.gradients.layer_attribution import layer_conductance, neuron_attribution, neuron_conductance
from alljax.gradients.linear_systems import conjugate_gradients
from alljax.gradients.lissa_solver import lissa
from alljax.gradients.localization_scores import Localization, localization
from alljax.gradients.loss_landscape import (
    filter_normalized,
    loss_along_line,
    loss_on_plane,
    mean_loss,
    random_direction,
)
from alljax.gradients.map_statistics import complexity, sparseness
from alljax.gradients.method_comparison import MEASURES, Measure, MethodRank, MethodScore, judge_methods, rank_methods
from alljax.gradients.method_stability import random_logit, relative_input_stability, relative_output_stability
from alljax.gradients.mode_connectivity import PathLoss, bezier_bend, loss_along_path
from alljax.gradients.model_randomization import parameter_randomization
from alljax.gradients.perturbation_attribution import occlusion, rise
from alljax.gradients.representation_similarity import linear_cka
from alljax.gradients.sharpness import WorstLoss, sam_perturbation, worst_loss
from alljax.gradients.spectrum import Density, eigenvalues, eigenvectors, spectral_density, stochastic_trace
from alljax.gradients.training_watch import Watched, WatchMemory, watch
from alljax.gradients.trak_scores import trak
from alljax.gradients.typing import Attribution, SplitNetwork

# Short names of the same functions.
cam = grad_cam
check = check_gradient
density = spectral_density
guided = guided_backprop
integrated = integrated_gradients
line = loss_along_line
ntk = neural_tangent_kernel
operator = curvature_operator
over = mean_loss
per_example = per_example_gradients
plane = loss_on_plane
randomization = parameter_randomization
similarity = gradient_similarity
smooth = smoothgrad
statistics = gradient_statistics
trace = stochastic_trace
visualize = visualize_channel

__all__ = [
    'MEASURES',
    'Attribution',
    'CompletenessWarning',
    'ConceptTest',
    'ConceptVector',
    'Curve',
    'Density',
    'Detection',
    'Irof',
    'JacobianOperator',
    'KroneckerFactors',
    'KroneckerLayer',
    'LaplaceApproximation',
    'LaplacePrediction',
    'LinearHeads',
    'Localization',
    'Measure',
    'MethodRank',
    'MethodScore',
    'Operator',
    'PathLoss',
    'Road',
    'Similarity',
    'SplitNetwork',
    'Statistics',
    'WatchMemory',
    'Watched',
    'WorstLoss',
    'ablation_cam',
    'attention_rollout',
    'attention_weights',
    'bezier_bend',
    'cam',
    'check',
    'check_gradient',
    'class_gradients',
    'complexity',
    'concept_vector',
    'conjugate_gradients',
    'curvature_diagonal',
    'curvature_operator',
    'deep_lift',
    'deletion',
    'density',
    'eigen_cam',
    'eigenvalues',
    'eigenvectors',
    'filter_normalized',
    'fit_linear_heads',
    'grad_cam',
    'gradient_attention',
    'gradient_cosine',
    'gradient_shap',
    'gradient_similarity',
    'gradient_statistics',
    'guided',
    'guided_backprop',
    'guided_grad_cam',
    'held_out_losses',
    'infidelity',
    'influence_functions',
    'insertion',
    'integrated',
    'integrated_gradients',
    'irof',
    'jacobian_operator',
    'judge_methods',
    'kronecker_factors',
    'kronecker_product',
    'kronecker_solve',
    'laplace_approximation',
    'laplace_predict',
    'layer_conductance',
    'layer_names',
    'layer_output',
    'leave_one_out',
    'line',
    'linear_cka',
    'linear_datamodeling_score',
    'lissa',
    'localization',
    'loss_along_line',
    'loss_along_path',
    'loss_on_plane',
    'max_sensitivity',
    'mean_loss',
    'mislabel_detection',
    'neural_tangent_kernel',
    'neuron_attribution',
    'neuron_conductance',
    'ntk',
    'occlusion',
    'operator',
    'over',
    'parameter_randomization',
    'per_example',
    'per_example_gradients',
    'plane',
    'random_direction',
    'random_logit',
    'randomization',
    'rank_methods',
    'relative_input_stability',
    'relative_output_stability',
    'representer_points',
    'resize_map',
    'rise',
    'road',
    'saliency',
    'sam_perturbation',
    'score_cam',
    'self_influence',
    'similarity',
    'smooth',
    'smoothgrad',
    'sparseness',
    'spectral_density',
    'statistics',
    'stochastic_trace',
    'subset_margins',
    'superpixel_ablation',
    'superpixels',
    'tcav',
    'trace',
    'tracin',
    'trak',
    'update_ratio',
    'visualize',
    'visualize_channel',
    'watch',
    'worst_loss',
]
