"""A good call of each public function, for the tests that try all of them: a new function needs one here."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from alljax import gradients

KEY = jax.random.key(0)
MODEL, TRANSFORMER = tiny.Tiny(), tiny.Transformer()
X, Y = tiny.images(4), np.array([0, 1, 2, 1])
PARAMS = {'weights': tiny.weights()}
MAP = np.abs(X).sum(3)
BLOCK = gradients.KroneckerLayer(jnp.eye(2)[None], jnp.eye(3)[None], jnp.ones((1, 2, 3)))
FACTORS = gradients.KroneckerFactors({('head/kernel', 'head/bias'): BLOCK}, {'scale': jnp.ones(2)})
TREE = {'head': {'kernel': np.ones((1, 3), np.float32), 'bias': np.ones(3, np.float32)},
        'scale': np.ones(2, np.float32)}  # fmt: skip
HEAD = gradients.KroneckerLayer(jnp.eye(65)[None], jnp.eye(3)[None], jnp.ones((1, 65, 3)))
POSTERIOR = gradients.LaplaceApproximation(
    gradients.KroneckerFactors({('params/head/kernel', 'params/head/bias'): HEAD}, {}), *jnp.ones(3)
)
OPERATOR = gradients.Operator(lambda vector: 2 * vector, jnp.ones(3), lambda vector: vector)
STATISTICS = {'params': PARAMS, 'batch_stats': {'norm': {'mean': np.zeros(3, np.float32)}}}


def apply(params, x):
    """Logits that are sums of weighted pixels, whatever else the tree of parameters holds."""
    return tiny.linear(params.get('params', params)['weights'], x)


def loss(params, x, y):
    """The negative log-probability of the label of each image."""
    return -jnp.take_along_axis(jax.nn.log_softmax(apply(params, x)), jnp.asarray(y, jnp.int32)[:, None], 1)[:, 0]


def to_nan(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array).astype(array.dtype)


def method(apply, params, x, target, **options):
    return gradients.saliency(apply, params, x, target)


ASK = {'apply': apply, 'params': PARAMS, 'x': X, 'target': Y}
LAYER = {'apply': MODEL, 'params': tiny.variables(MODEL), 'x': X}
TOKENS = {'apply': TRANSFORMER, 'params': tiny.variables(TRANSFORMER), 'x': X}
LOSS = {'loss': loss, 'params': PARAMS, 'x': X, 'y': Y}
SCORE = gradients.MethodScore('mine', 'irof', 0.5, 0.5, 0.5, 2, True, np.array([0.5, 0.5]))
TABLE = (X.reshape(4, -1), np.array([0, 1, 2, 1]))
HALVES = np.array([[True, True, False, False], [False, True, True, False], [False, False, True, True]])
PLACE = {'loss': lambda params: jnp.sum(params['weights'] ** 2), 'params': PARAMS, 'points': 3}
# The arguments of a good call of each function.
CALLS = {
    'saliency': ASK,
    'integrated_gradients': ASK | {'baseline': 0.5, 'steps': 2},
    'guided_backprop': LAYER | {'target': Y},
    'grad_cam': LAYER | {'target': Y, 'layer': 'body'},
    'occlusion': ASK | {'window': 4, 'stride': 4},
    'rise': ASK | {'key': KEY, 'masks': 3, 'cells': 2},
    'deletion': ASK | {'attribution': MAP, 'steps': 2, 'baseline': 0.0},
    'insertion': ASK | {'attribution': MAP, 'steps': 2, 'baseline': 0.0},
    'infidelity': ASK | {'attribution': X, 'key': KEY, 'samples': 2},
    'max_sensitivity': {'method': method, **ASK, 'key': KEY, 'samples': 2},
    'parameter_randomization': {'method': method, **ASK, 'key': KEY, 'layers': ['weights']},
    'localization': {'attribution': MAP, 'mask': np.ones((4, 8, 8))},
    'resize_map': {'maps': MAP, 'size': 16},
    'layer_names': LAYER,
    'layer_output': LAYER | {'layer': 'body'},
    'visualize_channel': {key: LAYER[key] for key in ('apply', 'params')}
    | {'layer': 'body', 'channel': 0, 'key': KEY, 'steps': 1, 'size': 8},
    'per_example_gradients': LOSS,
    'class_gradients': LOSS | {'classes': 3},
    'gradient_statistics': LOSS,
    'gradient_similarity': {'grads': {'a': np.ones((3, 2), np.float32)}},
    'update_ratio': {'params': PARAMS, 'updates': PARAMS},
    'curvature_operator': {'apply': apply, 'params': PARAMS, 'x': X, 'y': Y},
    'kronecker_factors': LAYER | {'y': Y, 'corrected': True},
    'kronecker_product': {'factors': FACTORS, 'tree': TREE},
    'kronecker_solve': {'factors': FACTORS, 'tree': TREE, 'damping': 0.1},
    'curvature_diagonal': {'apply': apply, 'params': PARAMS, 'x': X, 'y': Y},
    'jacobian_operator': {'apply': apply, 'params': PARAMS, 'x': X},
    'conjugate_gradients': {'op': OPERATOR, 'tree': jnp.ones(3), 'iterations': 2},
    'sam_perturbation': LOSS,
    'worst_loss': LOSS | {'steps': 2},
    'loss_along_path': PLACE | {'other': PARAMS, 'bend': PARAMS},
    'bezier_bend': LOSS | {'other': PARAMS, 'key': KEY, 'steps': 2},
    'laplace_approximation': LAYER | {'y': Y},
    'laplace_predict': LAYER | {'posterior': POSTERIOR},
    'eigenvalues': {'op': OPERATOR, 'k': 1, 'key': KEY},
    'eigenvectors': {'op': OPERATOR, 'k': 1, 'key': KEY},
    'stochastic_trace': {'op': OPERATOR, 'key': KEY, 'probes': 2},
    'spectral_density': {'op': OPERATOR, 'key': KEY, 'probes': 2, 'iterations': 3, 'points': 4},
    'mean_loss': {'loss': loss, 'x': X, 'y': Y},
    'random_direction': {'params': PARAMS, 'key': KEY},
    'filter_normalized': {'direction': PARAMS, 'params': PARAMS},
    'loss_along_line': PLACE | {'directions': PARAMS},
    'loss_on_plane': PLACE | {'directions': (PARAMS, PARAMS)},
    'tracin': {'loss': loss, 'checkpoints': [PARAMS], 'train': (X, Y), 'test': (X[:2], Y[:2]), 'rates': [0.1]},
    'neural_tangent_kernel': {'apply': apply, 'params': PARAMS, 'x1': X, 'x2': X[:2]},
    'check_gradient': {'function': lambda tree: jnp.sum(tree['weights'] ** 2), 'arguments': PARAMS, 'key': KEY},
    'deep_lift': ASK | {'baseline': 0.5},
    'gradient_shap': ASK | {'baselines': X[:2], 'key': KEY, 'samples': 2},
    'attention_rollout': TOKENS | {'target': Y},
    'gradient_attention': TOKENS | {'target': Y},
    'attention_weights': TOKENS,
    'score_cam': LAYER | {'target': Y, 'layer': 'body'},
    'ablation_cam': LAYER | {'target': Y, 'layer': 'body'},
    'eigen_cam': LAYER | {'target': Y, 'layer': 'body'},
    'guided_grad_cam': LAYER | {'target': Y, 'layer': 'body'},
    'layer_conductance': LAYER | {'target': Y, 'layer': 'body', 'steps': 2},
    'neuron_conductance': LAYER | {'target': Y, 'layer': 'body', 'neuron': (1, 2, 3), 'steps': 2},
    'neuron_attribution': {'method': method, **LAYER, 'neuron': (1, 2, 3), 'layer': 'body'},
    'superpixels': {'x': X, 'count': 4},
    'superpixel_ablation': ASK | {'count': 4},
    'concept_vector': {'concept': X[:2], 'other': X[2:]},
    'tcav': LAYER | {'target': Y, 'concept': X[:2], 'random': X, 'key': KEY, 'layer': 'body', 'runs': 2},
    'sparseness': {'attribution': MAP},
    'complexity': {'attribution': MAP},
    'relative_input_stability': {'method': method, **ASK, 'key': KEY, 'samples': 2},
    'relative_output_stability': {'method': method, **ASK, 'key': KEY, 'samples': 2},
    'random_logit': {'method': method, **ASK, 'key': KEY},
    'road': ASK | {'attribution': MAP, 'key': KEY, 'percentages': (20, 50)},
    'irof': ASK | {'attribution': MAP, 'count': 4},
    'judge_methods': {
        'methods': {'mine': method},
        **ASK,
        'key': KEY,
        'measures': ['irof', 'mass'],
        'mask': np.ones((4, 8, 8)),
    },
    'watch': LOSS | {'key': KEY, 'iterations': 2},
    'linear_cka': {'one': X, 'other': MAP},
    'rank_methods': {'scores': [SCORE]},
    'influence_functions': {
        'loss': loss,
        'params': PARAMS,
        'train': (X, Y),
        'test': (X[:2], Y[:2]),
        'solve': lambda tree: tree,
    },
    'self_influence': {'loss': loss, 'params': PARAMS, 'train': (X, Y), 'solve': lambda tree: tree},
    'gradient_cosine': {'loss': loss, 'params': PARAMS, 'train': (X, Y), 'test': (X[:2], Y[:2])},
    'lissa': {'op': OPERATOR._replace(ravel=lambda tree: tree), 'key': KEY, 'damping': 0.1, 'steps': 2},
    'trak': {
        'apply': apply,
        'checkpoints': [PARAMS],
        'train': (X, Y),
        'test': (X[:2], Y[:2]),
        'key': KEY,
        'size': 3,
    },
    'fit_linear_heads': {'x': TABLE[0], 'y': TABLE[1], 'ridge': 0.1, 'classes': 3},
    'leave_one_out': {'train': TABLE, 'test': TABLE, 'ridge': 0.1, 'classes': 3},
    'subset_margins': {'train': TABLE, 'test': TABLE, 'subsets': HALVES, 'ridge': 0.1, 'classes': 3},
    'held_out_losses': {'x': TABLE[0], 'y': TABLE[1], 'folds': np.array([0, 0, 1, 1]), 'ridge': 0.1, 'classes': 3},
    'representer_points': {'train': TABLE, 'test': TABLE, 'ridge': 0.1, 'classes': 3},
    'linear_datamodeling_score': {'influence': np.eye(4), 'subsets': HALVES, 'outputs': HALVES * 1.0},
    'mislabel_detection': {'scores': np.arange(4.0), 'mislabeled': np.array([True, False, True, False])},
    'smoothgrad': {'method': method, 'key': KEY, 'samples': 2, **ASK},
}


def public():
    """The public functions by their full names."""
    functions = {id(value): value for value in vars(gradients).values() if inspect.isfunction(value)}
    named = {getattr(gradients, name) for name in gradients.__all__ if inspect.isfunction(getattr(gradients, name))}
    return {function.__name__: function for function in functions.values() if function in named}


def arguments(name):
    """The names of a function's arguments, with those of the method that it makes."""
    own = list(inspect.signature(public()[name]).parameters)
    return own + (list(ASK) if name == 'smoothgrad' else [])


def call(name, **given):
    """The result of a public function, annotations unchecked as in use."""
    given = CALLS[name] | given
    function = public()[name]
    with tiny.unchecked():
        if name == 'check_gradient':
            return function(given.pop('function'), given.pop('arguments'), **given)
        if name == 'lissa':
            return function(**given)(jnp.ones(3))
        if name == 'mean_loss':
            return function(**given)(PARAMS)
        if name == 'smoothgrad':
            asked = [given.pop(part) for part in ASK]
            return function(given.pop('method'), **given)(*asked)
        return function(**given)
