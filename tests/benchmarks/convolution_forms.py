"""The forms of a convolution that a CPU gets against XLA's own on this processor, with their gradients, shape by shape.

    python tests/benchmarks/convolution_forms.py [--rounds 7]

The shapes are those of layers as `alljax.models.cpu_convolution` gets them: 3×3 and 5×5 by Winograd's filtering, the
gradient to the kernel of large images in bands of rows. Two that are left to XLA are by Winograd's filtering here,
which shows why. Both sides alternate, after a call that compiles; a ratio above 1 means that ours is faster. The time
of a gradient is without that of the forward pass.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import growth
import jax
from jaxtyping import Array

from alljax.models import cpu_convolution
from alljax.models.cpu_convolution import winograd, xla

SHAPES = {  # batch, side, channels, features, kernel, stride
    'alexnet, second': (28, 27, 64, 192, 5, 1),
    'alexnet, third': (28, 13, 192, 384, 3, 1),
    'alexnet, fourth': (28, 13, 384, 256, 3, 1),
    'vgg, second at 224': (8, 224, 64, 64, 3, 1),
    'vgg, first at 112': (8, 112, 64, 128, 3, 1),
    'vgg, first at 56': (8, 56, 128, 256, 3, 1),
    'vgg, first at 28': (8, 28, 256, 512, 3, 1),
    'resnet, at 56': (8, 56, 64, 64, 3, 1),
    'resnet, at 28': (8, 28, 128, 128, 3, 1),
    'resnet, at 14': (8, 14, 256, 256, 3, 1),
    'inception, at 147': (8, 147, 32, 64, 3, 1),
    'inception, at 73': (8, 73, 80, 192, 3, 1),
    'efficientnet v2, at 192': (8, 192, 24, 24, 3, 1),
    'efficientnet v2, 192 to 96': (8, 192, 24, 96, 3, 2),
    'densenet, at 56': (8, 56, 128, 32, 3, 1),
    'resnet, at 7 (left to XLA)': (8, 7, 512, 512, 3, 1),
    'densenet, at 28 (left to XLA)': (8, 28, 128, 32, 3, 1),
}
LEFT = '(left to XLA)'
KINDS = {'forward': None, 'image': 0, 'kernel': 1}  # and the gradients to these


def main() -> None:
    """Prints a line a shape."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=7)
    options = parser.parse_args()
    print(f'jax {jax.__version__}, {growth.processor()}, medians of {options.rounds}, in ms')
    print(f'{"":32}' + ''.join(f'{kind:>9}{"XLA":>8}{"ratio":>7}' for kind in KINDS))
    for name, (batch, side, channels, features, size, stride) in SHAPES.items():
        image = jax.random.normal(jax.random.key(0), (batch, side, side, channels))
        kernel = jax.random.normal(jax.random.key(1), (size, size, channels, features)) / channels
        given = {'strides': (stride, stride), 'padding': ((size // 2, size // 2),) * 2}
        ours = winograd.convolve if LEFT in name else partial(cpu_convolution.convolve, **given)
        forms = (ours, partial(xla.convolve, **given))
        come = jax.random.normal(jax.random.key(2), jax.eval_shape(ours, image, kernel).shape)
        line = f'{name:32}'
        for argument in KINDS.values():
            own, theirs = [jax.jit(part(form, argument)) for form in forms]
            mine, others = medians([own, theirs], (image, kernel, come), options.rounds)
            line += f'{1000 * mine:9.1f}{1000 * others:8.1f}{others / mine:7.2f}'
        print(line, flush=True)


def part(form: Callable[[Array, Array], Array], argument: int | None) -> Callable[[Array, Array, Array], Array]:
    """A form, or its gradient to one argument where `come` is that to what it gives."""

    def forward(image: Array, kernel: Array, come: Array) -> Array:
        return form(image, kernel)

    def gradient(image: Array, kernel: Array, come: Array) -> Array:
        found: Array = jax.vjp(form, image, kernel)[1](come)[argument]
        return found

    return forward if argument is None else gradient


def medians(forms: list[Callable[..., object]], arrays: tuple[Array, ...], rounds: int) -> list[float]:
    """The seconds of each form."""
    found: list[list[float]] = [[] for _ in forms]
    for number in range(rounds + 1):
        for form, its in zip(forms, found, strict=True):
            began = time.perf_counter()
            jax.block_until_ready(form(*arrays))
            if number:  # the first compiles
                its.append(time.perf_counter() - began)
    return [statistics.median(its) for its in found]


if __name__ == '__main__':
    main()
