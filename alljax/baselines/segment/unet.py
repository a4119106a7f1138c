"""Segmentation by a small U-Net (Ronneberger et al. 2015), in NumPy: a process that segments starts without JAX.

The network is trained in alljax.training.segmentation; its file has each convolution with the batch normalization that
follows it folded in. The first and the last of them work on blocks of 2×2 pixels, so that most of the work is done at
half the resolution.
"""

from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import scipy
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from safetensors.numpy import load_file

from alljax.baselines.segment.central_cell import LATEST, Mask, Parts, central, nothing
from alljax.baselines.segment.cut_out import of_cut_outs_too
from alljax.data.image import RgbImage, to_square
from alljax.errors import UserError

SIDE = 128  # pixels a side of what the network sees
BLOCK = 2  # pixels a side of what one place of the widest level stands for
BACKGROUND, CYTOPLASM, NUCLEUS = range(3)  # the channels of what it says
LIGHT = 95  # percentile of a channel that is taken for its light
DARKEST = 4.0  # of 255: what is darker has this optical density
SMOOTH = 0.3  # of the cell's radius: what hangs on to it along less than twice this is a neighbor
SPECK = 0.02  # of the nucleus' area: less is a granule
SHIPPED = Path(__file__).with_name('unet.safetensors')

Features = Float32[np.ndarray, '_ _ _']  # rows, columns, channels


class Convolution(NamedTuple):
    """The kernel and the bias of a convolution over 3×3 places."""

    kernel: Float32[np.ndarray, '3 3 before after']
    bias: Float32[np.ndarray, ' after']


class Unet(NamedTuple):
    """The convolutions of a network, two a level on the way down and up."""

    down: tuple[tuple[Convolution, Convolution], ...]  # from the widest level to the narrowest
    up: tuple[tuple[Convolution, Convolution], ...]  # from the last but one level to the widest
    head: Convolution


@of_cut_outs_too
def unet(image: RgbImage, version: int = LATEST, weights: Path | None = None) -> Parts:
    """The most likely of background, cytoplasm and nucleus at each pixel, and of these the cell in the middle.

    The `weights` are a file of `alljax segmentation`, by default those that the package ships, which were trained on
    drawn cells.
    """
    return parts_of(probabilities(image, read(weights or SHIPPED)), version)


def probabilities(image: RgbImage, network: Unet) -> Float32[np.ndarray, 'height width 3']:
    """The probability of background, cytoplasm and nucleus at each pixel of a picture of any size."""
    pixels = to_square(image, SIDE)
    logits = forward(network, densities(pixels, light(pixels)))
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    (height, width), side = image.shape[:2], max(image.shape[:2])
    top, left = (side - height) // 2, (side - width) // 2
    planes = [
        np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR))
        for plane in np.moveaxis(shares, -1, 0).copy()
    ]
    return np.stack(planes, -1)[top : top + height, left : left + width]


def parts_of(shares: Float32[np.ndarray, 'height width 3'], version: int = LATEST) -> Parts:
    """The cell in the middle without what hangs on to it, and its nucleus without specks; nothing if it has none."""
    body = central(shares[..., BACKGROUND] < 0.5, lobes=False, version=version)
    smooth = _opened(body, SMOOTH * np.sqrt(np.count_nonzero(body) / np.pi))
    cell = scipy.ndimage.binary_fill_holes(central(smooth, lobes=False, version=version))
    nucleus = _without_specks(cell & (shares[..., NUCLEUS] > shares[..., CYTOPLASM]))
    return Parts(nucleus, cell & ~nucleus) if nucleus.any() else nothing((cell.shape[0], cell.shape[1]))


def light(pixels: UInt8[np.ndarray, 'height width 3']) -> Float[np.ndarray, ' 3']:
    """The light of each channel: that of the picture's brightest part."""
    return np.maximum(np.percentile(pixels, LIGHT, axis=(0, 1)), DARKEST)


def densities(
    pixels: UInt8[np.ndarray, 'height width 3'], light: Float[np.ndarray, ' 3']
) -> Float32[np.ndarray, 'height width 3']:
    """The optical density of each channel, natural logarithm: so no color of the lamp is left."""
    return np.log(light / np.maximum(pixels, DARKEST)).astype(np.float32)


def forward(network: Unet, x: Float32[np.ndarray, 'height width 3']) -> Float32[np.ndarray, 'height width 3']:
    """The logits of the network for optical densities whose sides are multiples of all its strides."""
    first, skipped = _blocks(x), []
    x = first
    for level, pair in enumerate(network.down):
        if level:
            x = np.maximum(np.maximum(x[::2, ::2], x[1::2, ::2]), np.maximum(x[::2, 1::2], x[1::2, 1::2]))
        x = _pair(x, pair)
        skipped.append(x)
    for pair, skip in zip(network.up, skipped[-2::-1], strict=True):
        x = _pair(np.concatenate([x.repeat(2, 0).repeat(2, 1), skip], -1), pair)
    return _pixels(_convolved(np.concatenate([x, first], -1), network.head))


@lru_cache(maxsize=4)
def read(path: Path) -> Unet:
    """The network of a file that `alljax segmentation` wrote; UserError for any other file."""
    try:
        found = {name: array.astype(np.float32) for name, array in load_file(path).items()}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read as the weights of a U-Net ({error}); {MADE_BY}') from None
    try:
        network = Unet(_levels(found, 'down'), _levels(found, 'up'), _convolution(found, 'head'))
        forward(network, np.zeros((32, 32, 3), np.float32))
    except (KeyError, ValueError) as error:
        raise UserError(f'{path}: holds no U-Net of this package ({error}); {MADE_BY}') from None
    return network


MADE_BY = 'name the unet.safetensors of a folder that `alljax segmentation` wrote'


def _levels(found: dict[str, np.ndarray], way: str) -> tuple[tuple[Convolution, Convolution], ...]:
    every = []
    for number in count():
        if f'{way}{number}_0/kernel' not in found:
            break
        every.append((_convolution(found, f'{way}{number}_0'), _convolution(found, f'{way}{number}_1')))
    if not every:
        raise KeyError(f'{way}0_0/kernel')
    return tuple(every)


def _convolution(found: dict[str, np.ndarray], name: str) -> Convolution:
    return Convolution(found[f'{name}/kernel'], found[f'{name}/bias'])


def _pair(x: Features, pair: tuple[Convolution, Convolution]) -> Features:
    for convolution in pair:
        x = np.maximum(_convolved(x, convolution), 0)
    return x


def _convolved(x: Features, convolution: Convolution) -> Features:
    """A convolution over 3×3 places, zeros beyond the border, as one product of matrices."""
    height, width, channels = x.shape
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))
    columns = windows.transpose(0, 1, 3, 4, 2).reshape(height * width, 9 * channels)
    return (columns @ convolution.kernel.reshape(9 * channels, -1) + convolution.bias).reshape(height, width, -1)


def _blocks(x: Features) -> Features:
    """Each block of 2×2 pixels as one place of four times the channels."""
    height, width, channels = x.shape
    split = x.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels).transpose(0, 2, 1, 3, 4)
    return split.reshape(height // BLOCK, width // BLOCK, BLOCK * BLOCK * channels)


def _pixels(x: Features) -> Features:
    """The inverse of `_blocks`."""
    height, width, channels = x.shape
    split = x.reshape(height, width, BLOCK, BLOCK, channels // BLOCK**2).transpose(0, 2, 1, 3, 4)
    return split.reshape(height * BLOCK, width * BLOCK, channels // BLOCK**2)


def _opened(mask: Mask, radius: float) -> Mask:
    """The mask without parts that are narrower than twice `radius` pixels; it goes on beyond the border."""
    width = int(radius) + 2
    core = scipy.ndimage.distance_transform_edt(np.pad(mask, width, mode='edge')) > radius
    if not core.any():
        return mask
    return mask & (scipy.ndimage.distance_transform_edt(~core) <= radius)[width:-width, width:-width]


def _without_specks(mask: Mask) -> Mask:
    labels, _ = scipy.ndimage.label(mask)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return (areas >= max(SPECK * areas.sum(), 1))[labels]
