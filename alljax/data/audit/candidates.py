"""Pairs of cells to lay on each other: those alike in what neither a turn, a mirror nor a shift changes.

Each cell is unrolled over the angle around two centers: that of its spectrum, which a shift does not move, and its
nucleus. Its nearest cells in the strengths of angular harmonics are then compared at every turn, by circular
correlation, which also tells the turn.
"""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Complex64, Float, Float32, Int

from alljax.data.audit.nearest_points import nearest_points
from alljax.data.audit.unrolled import ANGLES, Unrolled

COMPONENTS = 48
NEAREST = 20  # cells compared with each, around either center
# Least correlation around either center. Planted repeats have 0.58 and 0.72 or more, one in a thousand others this.
SPECTRUM, NUCLEUS = 0.33, 0.5
GUESSES = 2  # turns to try from either center
AT_ONCE = 1024  # pairs compared together


class Candidates(NamedTuple):
    """Pairs to lay on each other, the likeliest first, with turns to try."""

    pairs: Int[np.ndarray, 'pairs 2']
    angles: Float[np.ndarray, 'pairs guesses']  # radians
    mirrored: Bool[np.ndarray, 'pairs guesses']


def candidates(seen: Unrolled, cells: Int[np.ndarray, ' cells']) -> Candidates:
    """Find pairs among some of the unrolled cells, by their places among all."""
    if len(cells) < 2:
        return Candidates(np.zeros((0, 2), int), np.zeros((0, 3 * GUESSES)), np.zeros((0, 3 * GUESSES), bool))
    pairs = cells[_nearest_of_each(seen, cells)]
    kept: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(pairs), AT_ONCE):
        part = pairs[start : start + AT_ONCE]
        both, place = np.unique(part, return_inverse=True)
        turns = [_turned(harmonics, place.reshape(part.shape)) for harmonics in seen.harmonics(both)]
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


def _nearest_of_each(seen: Unrolled, cells: Int[np.ndarray, ' cells']) -> Int[np.ndarray, 'pairs 2']:
    """Pair each cell with the nearest in the strengths of angular harmonics, around either center; each pair once."""
    from sklearn.decomposition import PCA  # takes seconds, which a run without audit need not wait

    found = []
    for strengths in seen.strengths:
        strength = strengths if len(cells) == len(strengths) else strengths[cells]
        short = PCA(min(COMPONENTS, *strength.shape), svd_solver='randomized', random_state=0).fit_transform(strength)
        near = nearest_points(short, NEAREST + 1)
        first, second = np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()
        low, high = np.minimum(first, second), np.maximum(first, second)
        found.append(np.unique((low * len(cells) + high)[low != high]))  # as one number: rows take long to sort
    return np.stack(np.divmod(np.unique(np.concatenate(found)), len(cells)), 1)


def _turned(
    harmonics: Complex64[np.ndarray, 'cells radii harmonics'], pairs: Int[np.ndarray, 'pairs 2']
) -> Float32[np.ndarray, 'pairs hands angles']:
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
