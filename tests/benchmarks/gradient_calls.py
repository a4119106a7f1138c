"""The calls of `alljax.gradients` that gradients.py measures: name → a function of a network to one that runs it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_networks import Ours
from gradient_rows import (
    DAMPING,
    DELETED,
    EIGENVALUES,
    FEW,
    ITERATIONS,
    RADIUS,
    SAMPLES,
    STEPS,
    STRIDE,
    TESTED,
    WINDOW,
    blocks,
)

from alljax import gradients

KEY = jax.random.key(1)
CONV5 = {'layer': 'conv5'}

Call = Callable[[Ours], Callable[[], Any]]


def on_images(function: Any, **options: Any) -> Call:
    """A method of any `apply`, or measure of one."""
    return lambda net: partial(function, net.apply, net.params, net.x, net.y, **options)


def on_modules(function: Any, **options: Any) -> Call:
    """A method that looks for linen's layers."""
    return lambda net: partial(function, net.model, net.variables, net.x, net.y, **options)


def of_map(function: Any, **options: Any) -> Call:
    """A measure of the gradient's map."""

    def made(net: Ours) -> Callable[[], Any]:
        found = np.asarray(gradients.saliency(net.apply, net.params, net.x, net.y).map)
        return partial(function, net.apply, net.params, net.x, net.y, found, **options)

    return made


def product(kind: Any) -> Call:
    """A product of a kind of curvature with a vector of ones."""

    def made(net: Ours) -> Callable[[], Any]:
        op = gradients.curvature_operator(net.apply, net.params, net.x, net.y, kind=kind)
        return partial(op, jnp.ones_like(op.like))

    return made


def spectral(function: Any, *values: Any, **options: Any) -> Call:
    """A function of the Hessian's products."""

    def made(net: Ours) -> Callable[[], Any]:
        op = gradients.curvature_operator(net.apply, net.params, net.x, net.y)
        return partial(function, op, *values, **options)

    return made


def solved(*, corrected: bool) -> Call:
    """K-FAC's factors, and their inverse times a gradient."""

    def made(net: Ours) -> Callable[[], Any]:
        def run() -> Any:
            found = gradients.kronecker_factors(net.apply, net.params, net.x, net.y, corrected=corrected)
            return gradients.kronecker_solve(found, net.params, DAMPING)

        return run

    return made


def laplace(where: str | None) -> Call:
    """Laplace's approximation with Kronecker factors, and its predictions for the same examples."""

    def made(net: Ours) -> Callable[[], Any]:
        def run() -> Any:
            given = net.apply, net.params, net.x
            posterior = gradients.laplace_approximation(*given, net.y, where=where, prior_precision=1.0)
            return gradients.laplace_predict(*given, posterior).probability

        return run

    return made


def tracin(where: str | None) -> Call:
    """The influence of the examples on themselves."""
    return lambda net: partial(
        gradients.tracin, net.loss, [net.params], (net.x, net.y), (net.x, net.y), [1.0], where=where
    )


def trak(net: Ours) -> Callable[[], Any]:
    """TRAK by a dense projection."""
    test = net.x[:TESTED], net.y[:TESTED]
    return partial(gradients.trak, net.apply, [net.params], (net.x, net.y), test, key=KEY, size=512)


CALLS: dict[str, Call] = {
    'saliency': on_images(gradients.saliency),
    'integrated_gradients': on_images(gradients.integrated_gradients, steps=STEPS),
    'smoothgrad': on_images(gradients.smoothgrad(gradients.saliency, key=KEY, samples=SAMPLES)),
    'guided_backprop': on_modules(gradients.guided_backprop),
    'deep_lift': on_images(gradients.deep_lift),
    'gradient_shap': on_images(gradients.gradient_shap, key=KEY, samples=FEW),
    'grad_cam': on_modules(gradients.grad_cam, **CONV5),
    'guided_grad_cam': on_modules(gradients.guided_grad_cam, **CONV5),
    'score_cam': on_modules(gradients.score_cam, **CONV5),
    'layer_conductance': on_modules(gradients.layer_conductance, steps=FEW, rule='difference', **CONV5),
    'occlusion': on_images(gradients.occlusion, window=WINDOW, stride=STRIDE),
    'superpixel_ablation': on_images(gradients.superpixel_ablation, segments=blocks(227, 6)),
    'infidelity': of_map(gradients.infidelity, key=KEY, samples=FEW),
    'max_sensitivity': on_images(
        partial(gradients.max_sensitivity, gradients.saliency), key=KEY, samples=10, radius=RADIUS
    ),
    'deletion': of_map(gradients.deletion, steps=DELETED),
    'road': of_map(gradients.road, key=KEY),
    'per-example norms': lambda net: partial(
        gradients.per_example_gradients, net.loss, net.params, net.x, net.y, reduce='norm'
    ),
    'per_example_gradients': lambda net: partial(gradients.per_example_gradients, net.loss, net.params, net.x, net.y),
    'empirical Fisher diagonal': on_images(gradients.curvature_diagonal, kind='fisher'),
    'Gauss-Newton diagonal': on_images(gradients.curvature_diagonal, kind='ggn'),
    'Hessian product': product('hessian'),
    'Gauss-Newton product': product('ggn'),
    'eigenvalues': spectral(gradients.eigenvalues, EIGENVALUES, key=KEY),
    'stochastic_trace': spectral(gradients.stochastic_trace, KEY, probes=FEW),
    'spectral_density': spectral(gradients.spectral_density, KEY, probes=1, iterations=ITERATIONS),
    'K-FAC, solved': solved(corrected=False),
    'EK-FAC, solved': solved(corrected=True),
    'Laplace, last layer': laplace('head/logits/.*'),
    'Laplace, K-FAC': laplace(None),
    'tracin': tracin(None),
    'tracin, last layer': tracin('head/logits/.*'),
    'trak': trak,
}
