"""Winograd's form of a convolution against XLA's own on this processor, forward and with gradients, shape by shape.

    python tests/benchmarks/convolution_forms.py [--rounds 7]

The shapes are those of AlexNet, VGG, ResNet and DenseNet that `alljax.models.cpu_convolution` gives to Winograd's form,
and two that it does not. Both sides alternate, after a call that compiles; a ratio above 1 means that Winograd's form
is faster. Gradients are to the image and to the kernel.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import growth
import jax
import jax.numpy as jnp
from jaxtyping import Array

from alljax.models.cpu_convolution import winograd, xla

SHAPES = {  # batch, side, channels, features, kernel
    'alexnet, second': (28, 27, 64, 192, 5),
    'alexnet, third': (28, 13, 192, 384, 3),
    'alexnet, fourth': (28, 13, 384, 256, 3),
    'vgg, at 112': (8, 112, 64, 128, 3),
    'vgg, at 56': (8, 56, 128, 256, 3),
    'vgg, at 28': (8, 28, 256, 512, 3),
    'resnet, at 56': (8, 56, 64, 64, 3),
    'resnet, at 28': (8, 28, 128, 128, 3),
    'resnet, at 14': (8, 14, 256, 256, 3),
    'resnet, at 7 (left to XLA)': (8, 7, 512, 512, 3),
    'densenet, at 28 (left to XLA)': (8, 28, 128, 32, 3),
}


def main() -> None:
    """Prints a line a shape."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=7)
    options = parser.parse_args()
    print(f'jax {jax.__version__}, {growth.processor()}, medians of {options.rounds}, in ms')
    print(f'{"":32}{"forward":>9}{"XLA":>8}{"ratio":>7}{"gradients":>12}{"XLA":>8}{"ratio":>7}')
    for name, (batch, side, channels, features, size) in SHAPES.items():
        image = jax.random.normal(jax.random.key(0), (batch, side, side, channels))
        kernel = jax.random.normal(jax.random.key(1), (size, size, channels, features)) / channels
        pads = [(size // 2, size // 2)] * 2

        def plain(image: Array, kernel: Array, pads: list[tuple[int, int]] = pads) -> Array:
            return xla.convolve(image, kernel, (1, 1), pads)

        both = [medians([*map(jax.jit, forms)], (image, kernel), options.rounds) for forms in (
            (winograd.convolve, plain), (gradients(winograd.convolve), gradients(plain)),
        )]  # fmt: skip
        cells = [f'{1000 * ours:9.1f}{1000 * theirs:8.1f}{theirs / ours:7.2f}' for ours, theirs in both]
        print(f'{name:32}{cells[0]}   {cells[1]}', flush=True)


def gradients(form: Callable[[Array, Array], Array]) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The gradients of the mean square of what a form gives."""
    return jax.grad(lambda image, kernel: jnp.mean(form(image, kernel) ** 2), argnums=(0, 1))


def medians(forms: list[Callable[..., object]], arrays: tuple[Array, Array], rounds: int) -> list[float]:
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
