"""One cell laid on another: the turn is known up to a few guesses, the shift is found, and the overlap compared."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Complex64, Float, Float32

from alljax.data.audit.candidates import Candidates
from alljax.data.audit.measurements import COARSE, FINE, SmallImages, disk

FARTHEST = 0.4  # shift between the centers of two crops, of their side
LEAST = 0.3  # overlap that says anything, of a crop's disk
PROMISING = 0.65  # coarse correlation below which no pair is looked at closely; repeats have 0.9 or more
WINDOW = 5.0  # deviation in pixels of the window that local correlation is taken in
STEP = np.deg2rad(1.4)  # first step around a guessed turn: half of what candidates' samples lie apart

Image = Float32[np.ndarray, 'side side']
Mask = Bool[np.ndarray, 'side side']
Plane = Float[np.ndarray, 'side side']
Look = Callable[[int], SmallImages]  # of a cell, by its place


class Pose(NamedTuple):
    """The place of a point of the first cell in the second: less the shift, turned by the angle, then upside down."""

    angle: float  # radians
    mirrored: bool
    shift: tuple[float, float] = (0.0, 0.0)  # down and right, of the side


class Match(NamedTuple):
    """The score of the second cell on the first, and the pose in which it lies best."""

    score: float  # 1 for the same cell, below 0.5 for others
    pose: Pose


def register(look: Look, chosen: Candidates) -> Iterator[Match]:
    """Lay the second cell of each pair on the first, in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda i: _register(look, chosen, i), range(len(chosen.pairs)))


def aligned(image: Image, pose: Pose) -> Image:
    """The second image as it lies on the first; 0 where it does not reach."""
    middle = (len(image) - 1) / 2
    row, column = _second_coordinates(len(image), pose)
    return scipy.ndimage.map_coordinates(image, (row + middle, column + middle), order=1, mode='constant')


def overlap(shapes: Sequence[tuple[int, int]], side: int, pose: Pose) -> Mask:
    """The part where the disks of two crops lie on each other, in the frame of the first."""
    row, column = _second_coordinates(side, pose)
    height, width = (side * n / max(shapes[1]) / 2 - 1 for n in shapes[1])
    within = (np.abs(row) < height) & (np.abs(column) < width) & (row * row + column * column < (side / 2 - 1) ** 2)
    return disk(shapes[0], side) & within


def _second_coordinates(side: int, pose: Pose) -> tuple[Plane, Plane]:
    """Down and right of the second crop's middle, in pixels: where the points of the first are."""
    away = np.arange(side) - (side - 1) / 2
    y, x = away[:, None] - pose.shift[0] * side, away - pose.shift[1] * side
    sine, cosine = np.sin(pose.angle), np.cos(pose.angle)
    return (-1 if pose.mirrored else 1) * (y * cosine - x * sine), x * cosine + y * sine


def _register(look: Look, chosen: Candidates, index: int) -> Match:
    first, second = map(look, chosen.pairs[index].tolist())
    shapes = [first.shape, second.shape]
    guesses = [
        Pose(float(angle), bool(hand)) for angle, hand in zip(chosen.angles[index], chosen.mirrored[index], strict=True)
    ]
    coarse = _best(first.detail, second.detail, shapes, guesses, FARTHEST)
    if coarse.score < PROMISING:
        return coarse._replace(score=0.0)
    pair = [cell.fine.astype(np.float32) for cell in (first, second)]
    match = _best(pair[0], pair[1], shapes, [coarse.pose], 2 / COARSE)
    for step in (STEP, STEP / 2, STEP / 4):
        turns = [match.pose._replace(angle=match.pose.angle + turn) for turn in (-step, step)]
        match = max(match, _best(pair[0], pair[1], shapes, turns, 2 / COARSE), key=lambda m: m.score)
    # Edges of round nuclei agree in any two cells, but in a few places only; hence the mean over places as well.
    local = _local_correlation(pair[0], aligned(pair[1], match.pose), overlap(shapes, FINE, match.pose))
    return match._replace(score=float(np.sqrt(max(match.score, 0) * max(local, 0))))


def _best(first: Image, second: Image, shapes: list[tuple[int, int]], poses: list[Pose], reach: float) -> Match:
    """The pose that fits best, its shift corrected by up to `reach` of the side."""
    side = len(first)
    far = int(reach * side)
    size = scipy.fft.next_fast_len(side + far, real=True)
    spectrum = scipy.fft.rfft2(first, (size, size))
    best = Match(-1.0, poses[0])
    for pose in poses:
        turned = aligned(second, pose)
        down, right = _best_shift(spectrum, turned, size, far)
        shift = (pose.shift[0] + down / side, pose.shift[1] + right / side)
        moved = pose._replace(shift=shift)
        within = overlap(shapes, side, moved)
        if within.sum() < LEAST * disk(shapes[0], side).sum():
            continue
        score = _correlation(first[within], np.roll(turned, (down, right), (0, 1))[within])
        best = max(best, Match(score, moved), key=lambda m: m.score)
    return best


def _best_shift(spectrum: Complex64[np.ndarray, 'size half'], turned: Image, size: int, far: int) -> tuple[int, int]:
    """By how many pixels down and right, up to `far`, a turned image has to move to correlate most."""
    correlation = scipy.fft.irfft2(spectrum * scipy.fft.rfft2(turned, (size, size)).conj(), (size, size))
    steps = np.r_[0 : far + 1, -far:0]
    near = correlation[np.ix_(steps, steps)]
    row, column = np.unravel_index(near.argmax(), near.shape)
    return int(steps[row]), int(steps[column])


def _correlation(first: Float32[np.ndarray, ' pixels'], second: Float32[np.ndarray, ' pixels']) -> float:
    first, second = first - first.mean(), second - second.mean()
    return float(first @ second / (np.sqrt((first @ first) * (second @ second)) + 1e-6))


def _local_correlation(first: Image, second: Image, within: Mask) -> float:
    """Mean over all places of the correlation in a window around each."""

    def mean(image: Image) -> Image:
        return scipy.ndimage.gaussian_filter(image * weight, WINDOW, truncate=2.5) / total

    weight = within.astype(np.float32)
    total = scipy.ndimage.gaussian_filter(weight, WINDOW, truncate=2.5) + 1e-3
    mean_first, mean_second = mean(first), mean(second)
    spread = [np.maximum(mean(image * image) - middle**2, 1e-4) for image, middle in
              ((first, mean_first), (second, mean_second))]  # fmt: skip
    shared = mean(first * second) - mean_first * mean_second
    return float((shared / np.sqrt(spread[0] * spread[1]))[within].mean())
