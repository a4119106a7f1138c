"""Pairs of cells to lay on each other: those alike in what neither a turn, a mirror nor a shift changes.

Each cell is unrolled over the angle around two centers: that of its spectrum, which a shift does not move, and its
nucleus. Its nearest cells in the strengths of angular harmonics are then compared at every turn, by circular
correlation, which also tells the turn.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float, Float32, Int
from scipy.ndimage import map_coordinates
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

ANGLES = 128  # samples of a turn; of half a turn in a spectrum, which is symmetric
HARMONICS, COMPONENTS = 16, 48
NEAREST = 20  # cells compared with each, around either center
# Least correlation around either center. Planted repeats have 0.58 and 0.72 or more, one in a thousand others this.
SPECTRUM, NUCLEUS = 0.33, 0.5
GUESSES = 2  # turns to try from either center
BATCH = 512

Images = Float[np.ndarray, 'cells side side']
Polar = Float32[np.ndarray, 'cells radii angles']


class Views(NamedTuple):
    """Cells unrolled over the angle."""

    spectrum: Polar  # half a turn
    nucleus: Polar  # a turn


class Candidates(NamedTuple):
    """Pairs to lay on each other, the likeliest first, with turns to try."""

    pairs: Int[np.ndarray, 'pairs 2']
    angles: Float[np.ndarray, 'pairs guesses']  # radians
    mirrored: Bool[np.ndarray, 'pairs guesses']


def candidates(detail: Images, density: Images) -> Candidates:
    """Find pairs among images of band-passed detail, and of density, in which the nucleus is darkest."""
    if len(detail) < 2:
        return Candidates(np.zeros((0, 2), int), np.zeros((0, 3 * GUESSES)), np.zeros((0, 3 * GUESSES), bool))
    seen = views(detail, density)
    pairs = np.unique(np.concatenate([nearest(view) for view in seen]), axis=0)
    harmonics = [scipy.fft.rfft(view, axis=2) for view in seen]
    kept: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(pairs), 8 * BATCH):
        part = pairs[start : start + 8 * BATCH]
        turns = [_turned(spectra, part) for spectra in harmonics]
        peaks = [turn.max((1, 2)) for turn in turns]
        likely = (peaks[0] > SPECTRUM) | (peaks[1] > NUCLEUS)
        angle, mirrored = zip(*(_peaks(turn[likely]) for turn in turns), strict=True)
        # A spectrum does not tell a turn from the same and half a turn more.
        angles = np.concatenate([angle[0] / 2, angle[0] / 2 + np.pi, angle[1]], 1)
        rank = np.maximum(peaks[0] / SPECTRUM, peaks[1] / NUCLEUS)[likely]
        kept.append((rank, part[likely], angles, np.concatenate([mirrored[0], mirrored[0], mirrored[1]], 1)))
    rank, *columns = (np.concatenate(column) for column in zip(*kept, strict=True))
    order = np.argsort(-rank, kind='stable')
    return Candidates(*(column[order] for column in columns))


def views(detail: Images, density: Images) -> Views:
    """Unroll the spectrum of `detail`, and `detail` around the nucleus."""
    side = detail.shape[-1]
    parts = []
    for start in range(0, len(detail), BATCH):
        part = detail[start : start + BATCH]
        strength = np.abs(scipy.fft.fft2(part * _taper(side), (2 * side, 2 * side), workers=-1)) ** 0.5
        middle = np.full((len(part), 2), float(side))
        parts.append(
            (
                _unrolled(scipy.fft.fftshift(strength, (1, 2)), middle, np.arange(6, 0.6 * side, 2), np.pi),
                _unrolled(part, _centers(density[start : start + BATCH]), np.arange(2, 0.42 * side, 1.25), 2 * np.pi),
            )
        )
    return Views(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def nearest(polar: Polar) -> Int[np.ndarray, 'pairs 2']:
    """Pair each cell with the nearest in the strengths of angular harmonics."""
    strength = np.abs(scipy.fft.rfft(polar, axis=2)[..., 1 : HARMONICS + 1]).reshape(len(polar), -1) ** 0.5
    short = PCA(min(COMPONENTS, *strength.shape), svd_solver='randomized', random_state=0).fit_transform(strength)
    count = min(NEAREST + 1, len(polar))
    found = NearestNeighbors(n_neighbors=count, algorithm='brute').fit(short).kneighbors(short, return_distance=False)
    pairs = np.stack([np.repeat(np.arange(len(polar)), count), found.ravel()], 1)
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)


def _centers(density: Images) -> Float[np.ndarray, 'cells 2']:
    """Row and column of the densest blob near the middle, by mean shift: it stays on the nucleus when a crop shifts."""
    side = density.shape[-1]
    density = density.astype(np.float32)
    weight = np.maximum(density - np.median(density, (1, 2), keepdims=True), 0) ** 2 + 1e-9
    place = np.arange(side, dtype=np.float32)
    center = np.full((len(density), 2), (side - 1) / 2, np.float32)
    for _ in range(20):
        rows, columns = (np.exp(-0.5 * ((place - center[:, axis, None]) / (0.16 * side)) ** 2) for axis in (0, 1))
        across = np.einsum('nij,nj->ni', weight, columns) * rows
        down = np.einsum('nij,ni->nj', weight, rows) * columns
        center = np.stack([across @ place / across.sum(1), down @ place / down.sum(1)], 1)
    return center


def _unrolled(images: Images, centers: Float[np.ndarray, 'cells 2'], radii: np.ndarray, turn: float) -> Polar:
    """Sample circles around the centers; each has mean 0 over the angle, and all of a cell together norm 1."""
    angle = turn * np.arange(ANGLES) / ANGLES
    y, x = radii[:, None] * np.sin(angle), radii[:, None] * np.cos(angle)
    polar = np.empty((len(images), len(radii), ANGLES), np.float32)
    for out, image, (row, column) in zip(polar, images, centers, strict=True):
        map_coordinates(image, (y + row, x + column), out, order=1, mode='constant')
        out -= out.mean(1, keepdims=True)
        out *= np.sqrt(radii)[:, None]  # as many pixels as a circle has
        out /= np.linalg.norm(out) + 1e-6
    return polar


def _turned(harmonics: np.ndarray, pairs: Int[np.ndarray, 'pairs 2']) -> Float32[np.ndarray, 'pairs hands angles']:
    """Correlate the first of each pair with the second at every turn, as it is and mirrored."""
    first, second = harmonics[pairs[:, 0]], harmonics[pairs[:, 1]]
    found = [
        scipy.fft.irfft(np.einsum('pra,pra->pa', first, other), ANGLES, axis=1, workers=-1)
        for other in (second.conj(), second)
    ]
    return np.stack(found, 1).astype(np.float32)


def _peaks(
    turned: Float32[np.ndarray, 'pairs hands angles'],
) -> tuple[Float[np.ndarray, 'pairs peaks'], Bool[np.ndarray, 'pairs peaks']]:
    """The highest peaks, not beside each other: their angles, in radians of a whole turn, and handedness."""
    turned = turned.copy()
    rows = np.arange(len(turned))[:, None]
    angles, mirrored = [], []
    for _ in range(GUESSES):
        hand, angle = np.divmod(turned.reshape(len(turned), turned.shape[1] * turned.shape[2]).argmax(1), ANGLES)
        turned[rows, hand[:, None], (angle[:, None] + np.arange(-4, 5)) % ANGLES] = -np.inf
        angles.append(2 * np.pi * angle / ANGLES)
        mirrored.append(hand == 1)
    return np.stack(angles, 1), np.stack(mirrored, 1)


def _taper(side: int) -> Float32[np.ndarray, 'side side']:
    away = np.arange(side) - (side - 1) / 2
    return np.clip(1.15 - (np.hypot(away[:, None], away) / (side / 2)) ** 2, 0, 1).astype(np.float32)
