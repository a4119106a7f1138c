"""How fast a training step of each network can be at best on a GPU: computed from its program, not measured.

    python tests/benchmarks/roofline.py [--batch 32] [--classes 4] [NAME …]

The step is that of training (forward, backward, SGD with momentum, all layers learn), in the form that GPUs compile;
its floating point operations are those of XLA's cost analysis. Bytes are counted twice: as few as there can be, where
each convolution and matrix product reads its operands and writes its result once, and all between them is fused into
them; and as many, where every operation of the program does so before any fusion (XLA's cost analysis). A step takes
at least the longer of operations / peak and fewest bytes / bandwidth (the roofline of Williams et al. 2009,
10.1145/1498765.1498785). Reading and augmenting cells, and the start of kernels, which small batches feel, are not in
it: no GPU gets there.
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from alljax import models
from alljax.models.trees import flatten
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

NAMES = (
    'alexnet', 'vgg16', 'resnet18', 'resnet50', 'squeezenet1_1', 'densenet121', 'googlenet', 'inception_v3',
    'mobilenet_v2', 'efficientnet_b0', 'efficientnet_v2_s', 'convnext_tiny', 'vit_b_16', 'dinov2_vit_s_14',
)  # fmt: skip
PRODUCTS = ('conv_general_dilated', 'dot_general')


class Card(NamedTuple):
    """A GPU by its vendor's datasheet: dense rates, without sparsity."""

    name: str
    float32: float  # operations a second
    tf32: float
    bfloat16: float
    bandwidth: float  # bytes a second


CARDS = (
    Card('H100 SXM', 67e12, 494e12, 989e12, 3.35e12),
    Card('A100 80 GB SXM', 19.5e12, 156e12, 312e12, 2.04e12),
    Card('L4', 30.3e12, 60e12, 121e12, 0.30e12),
    Card('RTX 4060 laptop', 14.6e12, 14.6e12, 29.2e12, 0.256e12),
)


class Cost(NamedTuple):
    """The cost of one step, for one image of the batch."""

    parameters: int
    operations: float
    fewest_bytes: float  # in float32
    most_bytes: float


def cost(name: str, batch: int, classes: int) -> Cost:
    """The cost of a training step; nothing is computed."""
    model = models.create(name, classes, platform='gpu')
    variables = jax.eval_shape(model.init, jax.random.key(0))
    names, sgd = list(flatten(variables['params'])), optax.sgd(1e-3, momentum=0.9)
    setup = TrainingSetup(model, sgd, lambda image, key: image, names, jnp.ones(classes), 0)
    state = jax.eval_shape(lambda variables: initial_state(setup, variables), variables)
    size = model.input.size
    images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
    index = jax.ShapeDtypeStruct((batch,), jnp.int32)
    traced = make_step(setup).trace(state, Batch(images, index, index))
    found: Any = traced.lower(lowering_platforms=('cuda',)).cost_analysis()
    count = sum(leaf.size for leaf in flatten(variables['params']).values())
    # the optimizer reads parameters, gradients and momentum, and writes the first and the last
    fewest = sum(map(_bytes, _products(traced.jaxpr.jaxpr))) + 5 * 4 * count
    return Cost(count, found['flops'] / batch, fewest / batch, found['bytes accessed'] / batch)


def _products(jaxpr: Any) -> Iterator[Any]:
    """The convolutions and matrix products of a program, and of the programs that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in PRODUCTS:
            yield equation
        for inner in _inner(equation.params):
            yield from _products(inner)


def _inner(parameters: dict[str, Any]) -> Iterator[Any]:
    for value in parameters.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if hasattr(one, 'eqns'):
                yield one
            elif hasattr(one, 'jaxpr') and hasattr(one.jaxpr, 'eqns'):
                yield one.jaxpr


def _bytes(equation: Any) -> int:
    """The bytes of what goes in and comes out of an operation."""
    return sum(int(np.prod(one.aval.shape)) * one.aval.dtype.itemsize for one in (*equation.invars, *equation.outvars))


def images_per_second(of: Cost, card: Card, precision: str) -> tuple[float, bool]:
    """The most images a second, and True where memory is the limit; bfloat16 halves the bytes."""
    bytes_ = of.fewest_bytes / (2 if precision == 'bfloat16' else 1)
    computing, moving = of.operations / getattr(card, precision), bytes_ / card.bandwidth
    return 1 / max(computing, moving), moving > computing


def main() -> None:
    """Prints the table, a line as soon as it is computed."""
    parser = argparse.ArgumentParser()
    parser.add_argument('names', nargs='*', default=NAMES)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--classes', type=int, default=4)
    options = parser.parse_args()
    print(f'computed, not measured: jax {jax.__version__}, batch {options.batch}; the most images a second of a step '
          'in TF32 / bfloat16, * where memory is the limit\n')  # fmt: skip
    print('| network | parameters, M | GFLOP an image | MB an image, fewest to unfused | ' + ' | '.join(
        card.name for card in CARDS) + ' |')  # fmt: skip
    print('|' + '---|' * (4 + len(CARDS)))
    for name in options.names:
        of = cost(name, options.batch, options.classes)
        cells = []
        for card in CARDS:
            rates = [images_per_second(of, card, precision) for precision in ('tf32', 'bfloat16')]
            cells.append(' / '.join(f'{rate:,.0f}{"*" if limited else ""}' for rate, limited in rates))
        numbers = f'{of.parameters / 1e6:.1f} | {of.operations / 1e9:.1f} | '
        numbers += f'{of.fewest_bytes / 1e6:.0f} to {of.most_bytes / 1e6:.0f}'
        print(f'| {name} | {numbers} | ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
    main()
