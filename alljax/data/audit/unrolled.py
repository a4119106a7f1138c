"""Cells unrolled over the angle around two centers: that of their spectrum, and their nucleus.

Of each cell the strengths of a few angular harmonics are held in memory, 2.4 kB. All its harmonics, eight times as
much, lie in a file without a name in the user's cache, from which they are read when two cells are compared.
"""

import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from jaxtyping import Complex64, Float, Float32, Int

from alljax.storage import cache
from alljax.storage.disk_errors import disk_errors_explained

ANGLES = 128  # samples of a turn; of half a turn in a spectrum, which is symmetric
HARMONICS = 16  # whose strengths tell which cells are alike

Images = Float[np.ndarray, 'cells side side']
Polar = Float32[np.ndarray, 'cells radii angles']
Harmonics = Complex64[np.ndarray, '_ _ harmonics']  # of cells and radii


class Unrolled:
    """The harmonics of cells around the center of their spectrum, which a shift does not move, and their nucleus."""

    def __init__(self, cells: int):
        self.cells = cells
        self.strengths: tuple[Float32[np.ndarray, 'cells _'], ...] = ()  # around either center
        self._added, self._radii = 0, (0, 0)
        self._folder, self._file = _scratch()
        weakref.finalize(self, self._file.close)

    def add(self, views: Sequence[Harmonics]) -> None:
        """Takes the views of the next cells."""
        if not self.strengths:
            self._radii = (views[0].shape[1], views[1].shape[1])
            self.strengths = tuple(np.empty((self.cells, radii * HARMONICS), np.float32) for radii in self._radii)
        count = len(views[0])
        for strengths, view in zip(self.strengths, views, strict=True):
            some = np.abs(view[..., 1 : HARMONICS + 1]) ** 0.5
            strengths[self._added : self._added + count] = some.reshape(count, strengths.shape[1])
        rows = memoryview(np.concatenate(views, 1).tobytes())
        with disk_errors_explained(self._folder, after=''):
            while rows:
                rows = rows[self._file.write(rows) :]
        self._added += count

    def harmonics(self, cells: Int[np.ndarray, ' some']) -> tuple[Harmonics, Harmonics]:
        """All harmonics of some cells, around either center."""
        rows = np.empty((len(cells), sum(self._radii), ANGLES // 2 + 1), np.complex64)
        for row, cell in zip(rows, cells.tolist(), strict=True):
            self._file.seek(cell * row.nbytes)
            row[...] = np.frombuffer(self._file.read(row.nbytes), row.dtype).reshape(row.shape)
        return rows[:, : self._radii[0]], rows[:, self._radii[0] :]


def _scratch() -> tuple[Path, Any]:
    """A file without a name, which may grow large: in the user's cache, or in the system's folder if that is closed."""
    with suppress(OSError):
        return cache.folder(), tempfile.TemporaryFile(dir=cache.folder(), buffering=0)
    folder = Path(tempfile.gettempdir())
    with disk_errors_explained(folder, after=''):
        return folder, tempfile.TemporaryFile(dir=folder, buffering=0)


def views(detail: Images, density: Images) -> tuple[Harmonics, Harmonics]:
    """The harmonics of the spectrum of band-passed `detail`, and of `detail` around the nucleus, darkest in density."""
    side = detail.shape[-1]
    strength = np.abs(scipy.fft.fft2(detail * _taper(side), (2 * side, 2 * side))) ** 0.5
    middle = np.full((len(detail), 2), float(side))
    polar = (
        _unrolled(scipy.fft.fftshift(strength, (1, 2)), middle, np.arange(6, 0.6 * side, 2), np.pi),
        _unrolled(detail, _centers(density), np.arange(2, 0.42 * side, 1.25), 2 * np.pi),
    )
    spectrum, nucleus = (scipy.fft.rfft(each, axis=2) for each in polar)
    return spectrum, nucleus


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
        scipy.ndimage.map_coordinates(image, (y + row, x + column), out, order=1, mode='constant')
        out -= out.mean(1, keepdims=True)
        out *= np.sqrt(radii)[:, None]  # as many pixels as a circle has
        out /= np.linalg.norm(out) + 1e-6
    return polar


def _taper(side: int) -> Float32[np.ndarray, 'side side']:
    away = np.arange(side) - (side - 1) / 2
    return np.clip(1.15 - (np.hypot(away[:, None], away) / (side / 2)) ** 2, 0, 1).astype(np.float32)
