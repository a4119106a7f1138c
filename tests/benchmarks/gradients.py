"""Gradient analysis against captum and torch, same weights and cores, alternating: medians, ratios, peak memory.

    python tests/benchmarks/gradients.py [--rounds 5]
    python tests/benchmarks/gradients.py --memory     # 512 cells of 227×227 through every function, and their peak

Needs the `parity` extra. AlexNet with the paper's head, float32, evaluation mode; a ratio above 1 means that ours is
faster. Each side's peak memory is of a process of its own.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests' / 'parity')]

from alljax import gradients, models
from alljax.models.trees import flatten
from alljax.storage import cache
from alljax.training.monitored_step import make_monitored_step
from alljax.training.step import Batch, Step, TrainingSetup, initial_state, make_step

SIZE, CLASSES = 227, 4
BATCHES = {'integrated': 1, 'smoothgrad': 1, 'gradcam': 28, 'saliency': 28, 'norms': 8, 'hessian': 28}
STEPS, SAMPLES = 32, 32
LIMIT = 8e9  # bytes, for 512 cells


def cells(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Seeded images and labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, SIZE, SIZE, 3)).astype(np.float32), np.arange(count) % CLASSES


def network() -> tuple[Any, Any, Any]:
    """The network, `apply` and its parameters with random biases."""
    model = models.create('alexnet', CLASSES)
    params = model.init(jax.random.key(0))['params']
    params = jax.tree.map(lambda leaf: leaf + 0.01 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), params)
    return model, lambda params, x: model.apply({'params': params}, x), params


def ours(name: str) -> Callable[[], Any]:
    """One call of ours."""
    model, apply, params = network()
    x, y = cells(BATCHES[name])

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)

    if name == 'hessian':
        operator = gradients.curvature_operator(apply, params, x, y)
        vector = jnp.ones_like(operator.like)
        return lambda: operator(vector)
    smooth = gradients.smoothgrad(gradients.saliency, key=jax.random.key(1), samples=SAMPLES)
    return {
        'saliency': lambda: gradients.saliency(apply, params, x, y),
        'integrated': lambda: gradients.integrated_gradients(apply, params, x, y, steps=STEPS),
        'smoothgrad': lambda: smooth(apply, params, x, y),
        'gradcam': lambda: gradients.grad_cam(model, {'params': params}, x, y, layer='conv5'),
        'norms': lambda: gradients.per_example_gradients(loss, params, x, y, reduce='norm'),
    }[name]


def theirs(name: str) -> Callable[[], Any]:
    """The same of captum or torch, on the same images and a network of the same form."""
    import captum.attr
    import torch
    import torch_alexnet

    net = torch_alexnet.create(CLASSES).eval()
    net.load_state_dict(torch_alexnet.to_torch(network()[2]))
    for module in net.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    x, y = cells(BATCHES[name])
    x, y = torch.tensor(x).permute(0, 3, 1, 2).contiguous(), torch.tensor(y)
    saliency = captum.attr.Saliency(net)
    tunnel = captum.attr.NoiseTunnel(saliency)
    integrated, cam = captum.attr.IntegratedGradients(net), captum.attr.LayerGradCam(net, net.features[10])
    weights = {key: leaf.detach() for key, leaf in net.named_parameters()}

    def loss(weights: Any, x: Any, y: Any) -> Any:
        logits = torch.func.functional_call(net, weights, (x[None],))
        return torch.nn.functional.cross_entropy(logits, y[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))

    def norms() -> Any:
        return sum(leaf.flatten(1).square().sum(1) for leaf in each(weights, x, y).values()).sqrt()

    def hessian() -> Any:
        parameters = list(net.parameters())
        value = torch.nn.functional.cross_entropy(net(x), y)
        first = torch.autograd.grad(value, parameters, create_graph=True)
        return torch.autograd.grad(first, parameters, [torch.ones_like(leaf) for leaf in parameters])

    def smoothgrad() -> Any:
        return tunnel.attribute(x, nt_samples=SAMPLES, stdevs=0.15, target=y, abs=False)

    return {
        'saliency': lambda: saliency.attribute(x, target=y, abs=False),
        'integrated': lambda: integrated.attribute(x, target=y, n_steps=STEPS),
        'smoothgrad': smoothgrad,
        'gradcam': lambda: cam.attribute(x, target=y),
        'norms': norms,
        'hessian': hessian,
    }[name]


def compare(rounds: int) -> None:
    """Prints the table of ratios."""
    import torch

    print(f'jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {rounds}')
    print(f'{"":14}{"images":>8}{"alljax, ms":>12}{"peer, ms":>10}{"ratio":>7}{"peak, GB":>10}{"peer, GB":>10}')
    for name, count in BATCHES.items():
        sides = (ours(name), theirs(name))
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds + 1):
            for side, seconds in zip(sides, times, strict=True):
                start = time.perf_counter()
                jax.block_until_ready(side())
                if number:
                    seconds.append(time.perf_counter() - start)
        one, other = (1000 * float(np.median(seconds)) for seconds in times)
        peaks = [peak(['--side', side, '--of', name]) for side in ('ours', 'theirs')]
        print(
            f'{name:14}{count:8}{one:12.0f}{other:10.0f}{other / one:7.2f}{peaks[0]:10.2f}{peaks[1]:10.2f}', flush=True
        )


def look(rounds: int) -> None:
    """Prints what a training step pays for looking at its gradients, SGD, batch 28."""
    model, _, params = network()
    names = list(flatten(params))
    sgd = optax.sgd(1e-4, momentum=0.9)
    setup = TrainingSetup(model, sgd, lambda images, key: images / jnp.float32(255), names, jnp.ones(CLASSES), 0)
    images = jax.random.randint(jax.random.key(1), (28, SIZE, SIZE, 3), 0, 256, jnp.uint8)
    batch, state = Batch(images, jnp.arange(28) % CLASSES, jnp.arange(28)), initial_state(setup, {'params': params})
    steps: list[tuple[Step, list[float]]] = [(make_step(setup), []), (make_monitored_step(setup), [])]
    for number in range(rounds + 1):
        for step, seconds in steps:
            start = time.perf_counter()
            state, metrics = step(state, batch)
            jax.block_until_ready(metrics)
            if number:
                seconds.append(time.perf_counter() - start)
    plain, looking = (1000 * float(np.median(seconds)) for _, seconds in steps)
    part = (looking - plain) / (10 * plain)
    print(f'a training step {plain:.0f} ms, one that looks {looking:.0f} ms: {part:.1%} more with gradients.every=10')


def peak(arguments: list[str]) -> float:
    """The peak memory of this script with these arguments, in GB."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def high_water() -> float:
    """This process's peak memory in GB; getrusage's would be that of the process that started it."""
    return int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1e6


def everything() -> dict[str, Callable[[], Any]]:
    """Every function of the package on 512 cells of 227×227, its memory bounded by `batch_size`."""
    model, apply, params = network()
    variables = {'params': params}
    x, y = cells(512)
    key, size = jax.random.key(2), 16

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)

    bound = {'batch_size': size}
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
    """Prints one of the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--memory', action='store_true', help='512 cells through every function')
    parser.add_argument('--side', choices=('ours', 'theirs', 'all'), help='one call alone, for its memory')
    parser.add_argument('--of', help='the call')
    options = parser.parse_args()
    cache.keep_compiled_programs()
    if options.side:
        call = {'ours': ours, 'theirs': theirs, 'all': lambda name: everything()[name]}[options.side](options.of)
        start = time.monotonic()
        jax.block_until_ready(call())
        print(time.monotonic() - start, high_water())
    elif options.memory:
        for name in everything():
            found = peak(['--side', 'all', '--of', name])
            print(f'{name:20}{found:6.2f} GB' + ('' if found * 1e9 < LIMIT else '  TOO MUCH'), flush=True)
    else:
        compare(options.rounds)
        look(options.rounds)


if __name__ == '__main__':
    main()
