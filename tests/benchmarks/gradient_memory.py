"""512 cells of 227 × 227 through the functions of `alljax.gradients`, and the peak memory of each.

    python tests/benchmarks/gradient_memory.py

AlexNet with the paper's head, `batch_size=16`; each in a process of its own.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_networks import ours
from gradients import peak_memory

from alljax import gradients
from alljax.storage import cache

CELLS, BATCH = 512, 16
LIMIT = 8.0  # GB


def everything() -> dict[str, Callable[[], Any]]:
    """The functions, their memory bounded by `batch_size`."""
    net = ours('alexnet', CELLS)
    model, params, x, y, apply, loss = net
    variables, key, bound = net.variables, jax.random.key(2), {'batch_size': BATCH}
    marks = np.abs(x).sum(3)
    total = gradients.mean_loss(loss, x, y, **bound)
    way = gradients.random_direction(params, key)
    operators = partial(gradients.curvature_operator, apply, params, x, y, **bound)
    method = partial(gradients.smoothgrad(gradients.saliency, key=key, samples=2), apply, params, x, y, **bound)
    return {
        'saliency': lambda: gradients.saliency(apply, params, x, y, **bound),
        'integrated': lambda: gradients.integrated_gradients(apply, params, x, y, steps=2, **bound),
        'smooth': method,
        'guided': lambda: gradients.guided_backprop(model, variables, x, y, **bound),
        'cam': lambda: gradients.grad_cam(model, variables, x, y, layer='conv5', **bound),
        'occlusion': lambda: gradients.occlusion(apply, params, x, y, window=114, stride=113, **bound),
        'rise': lambda: gradients.rise(apply, params, x, y, key=key, masks=2, **bound),
        'deletion': lambda: gradients.deletion(apply, params, x, y, marks, steps=2, **bound),
        'insertion': lambda: gradients.insertion(apply, params, x, y, marks, steps=2, **bound),
        'infidelity': lambda: gradients.infidelity(apply, params, x, y, x, key=key, samples=2, **bound),
        'max_sensitivity': lambda: gradients.max_sensitivity(
            gradients.saliency, apply, params, x, y, key=key, samples=1, **bound
        ),
        'randomization': lambda: gradients.parameter_randomization(
            gradients.saliency, apply, params, x, y, key=key, layers=['fc7'], **bound
        ),
        'per_example norms': lambda: gradients.per_example_gradients(loss, params, x, y, reduce='norm', **bound),
        'statistics': lambda: gradients.gradient_statistics(loss, params, x, y, **bound),
        'class_gradients': lambda: gradients.gradient_similarity(
            gradients.class_gradients(loss, params, x, y, **bound)
        ),
        'hessian': lambda: operators()(jnp.ones_like(operators().like)),
        'ggn': lambda: operators(kind='ggn')(jnp.ones_like(operators().like)),
        'eigenvalues': lambda: gradients.eigenvalues(operators(kind='ggn'), 1, key=key, iterations=4),
        'trace': lambda: gradients.stochastic_trace(operators(kind='ggn'), key, probes=2),
        'density': lambda: gradients.spectral_density(operators(kind='ggn'), key, probes=1, iterations=3),
        'line': lambda: gradients.loss_along_line(total, params, way, points=2),
        'plane': lambda: gradients.loss_on_plane(total, params, (way, way), points=2),
        'tracin': lambda: gradients.tracin(loss, [params], (x[:32], y[:32]), (x, y), [1.0], **bound),
        'ntk': lambda: gradients.neural_tangent_kernel(apply, params, x[:8], x[:128], **bound),
    }


def main() -> None:
    """Prints a line for each function."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--of', help='one call alone')
    options = parser.parse_args()
    cache.keep_compiled_programs()
    calls = everything()
    if options.of:
        jax.block_until_ready(calls[options.of]())
        print(peak_memory())
        return
    for name in calls:
        command = [sys.executable, __file__, '--of', name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = float(done.stdout.split()[-1])
        print(f'{name:20}{found:6.2f} GB' + ('' if found < LIMIT else '  TOO MUCH'), flush=True)


if __name__ == '__main__':
    main()
