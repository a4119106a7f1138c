"""Changes that make one picture of a cell from the other, in words."""

import numpy as np
from jaxtyping import Float

from alljax.data.audit.measurements import COARSE
from alljax.data.audit.registration import Pose, aligned, overlap

TURN = 1.5  # degrees that pass for none
SHIFT = 0.015  # of the side
NEIGHBOR = 0.25  # of the side: a shift so large brings another cell to the middle of the crop
FOCUS = 0.15  # logarithm of the ratio of sharpness: JPEG reaches 0.14 at a quality of 50, a blur of 1.5 pixels 0.18
SCALE = 1.15  # ratio of the sides up to which sharpness is compared
GAIN, OFFSET = 0.08, 0.06  # factor of optical density less 1, and its offset: what JPEG does not reach


def one_cell(pose: Pose) -> bool:
    """True if both crops have the same cell in their middle; else they show neighbors in the same field."""
    return float(np.hypot(*pose.shift)) < NEIGHBOR


def describe(
    pose: Pose,
    density: tuple[Float[np.ndarray, 'side side'], Float[np.ndarray, 'side side']],
    shapes: tuple[tuple[int, int], tuple[int, int]],
    sharpness: tuple[float, float],
) -> str:
    """Name the turn, mirror, shift, light and focus between two pictures: 'rotated 37°, mirrored, re-lit'."""
    degrees, mirrored = _turn(pose)
    shift = float(np.hypot(*pose.shift))
    parts = [
        '' if one_cell(pose) else 'neighbors',
        f'rotated {degrees:.0f}°' if degrees > TURN else '',
        'mirrored' if mirrored else '',
        f'shifted {shift * max(shapes[0]):.0f} px' if shift > SHIFT else '',
        're-lit' if _lit(pose, density, shapes) else '',
        'refocused' if _refocused(shapes, sharpness) else '',
    ]
    return ', '.join(part for part in parts if part) or 're-encoded'


def without_numbers(kind: str) -> str:
    """The kind without degrees and pixels: 'rotated, mirrored' of 'rotated 37°, mirrored'."""
    return ', '.join(part.split(' ')[0] if part[-1] in '°x' else part for part in kind.split(', '))


def _turn(pose: Pose) -> tuple[float, bool]:
    """Degrees, 0 to 180, and whether mirrored; of the two ways to mirror the one that leaves the smaller turn."""
    degrees = abs((np.degrees(pose.angle) + 180) % 360 - 180)
    return float(min(degrees, 180 - degrees) if pose.mirrored else degrees), pose.mirrored


def _refocused(shapes: tuple[tuple[int, int], tuple[int, int]], sharpness: tuple[float, float]) -> bool:
    first, second = (max(shape) for shape in shapes)
    return max(first, second) <= SCALE * min(first, second) and abs(sharpness[0] - sharpness[1]) > FOCUS


def _lit(
    pose: Pose,
    density: tuple[Float[np.ndarray, 'side side'], Float[np.ndarray, 'side side']],
    shapes: tuple[tuple[int, int], tuple[int, int]],
) -> bool:
    first, second = (image.astype(np.float32) for image in density)
    within = overlap(shapes, COARSE, pose)
    ours, theirs = first[within], aligned(second, pose)[within]
    gain = np.log((theirs.std() + 1e-3) / (ours.std() + 1e-3))
    return bool(abs(gain) > GAIN or abs(theirs.mean() - ours.mean()) > OFFSET)
