"""Soft-edged shapes as signed distances in pixels of a 257-pixel crop: negative inside, positive outside."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

REFERENCE = 257  # crop side in pixels to which every length of this package refers

Field = Float32[np.ndarray, 'height width']


class Grid(NamedTuple):
    """Coordinates of every pixel from the middle of the crop, in reference pixels."""

    y: Field
    x: Field
    pixel: float  # reference pixels between neighbors

    def window(self, center: tuple[float, float], radius: float) -> tuple[slice, slice] | None:
        """Slice the rows and columns within `radius` of `center`; None where that square misses the crop."""
        slices = []
        for middle, count in zip(center, self.y.shape, strict=True):
            first = int(np.floor((middle - radius) / self.pixel + (count - 1) / 2))
            last = int(np.ceil((middle + radius) / self.pixel + (count - 1) / 2)) + 1
            if last <= 0 or first >= count:
                return None
            slices.append(slice(max(first, 0), min(last, count)))
        return slices[0], slices[1]


class Outline(NamedTuple):
    """A closed curve around the origin: an ellipse of equal area to a disk of `radius`, waved by five harmonics."""

    radius: float
    stretch: float  # long axis over short axis
    angle: float  # of the long axis, radians
    waves: tuple[float, ...]  # amplitude of harmonics 2, 3, …, as a fraction of the radius
    phases: tuple[float, ...]  # radians


def grid(size: int) -> Grid:
    """Lay coordinates over a square crop of `size` pixels."""
    return rectangle(size, size, REFERENCE / size)


def rectangle(height: int, width: int, pixel: float = 1.0) -> Grid:
    """Lay coordinates over a picture, `pixel` reference pixels apart."""
    rows, columns = (((np.arange(n) - (n - 1) / 2) * pixel).astype(np.float32) for n in (height, width))
    y, x = np.meshgrid(rows, columns, indexing='ij')
    return Grid(y, x, pixel)


def outline(rng: np.random.Generator, radius: float, stretch: float, wave: float) -> Outline:
    """Draw an outline at random; `wave` is the typical amplitude of its lowest harmonic as a fraction of the radius."""
    orders = np.arange(2, 7)
    waves = wave * rng.standard_normal(5) * (2.0 / orders) ** 1.5
    phases = rng.uniform(0, 2 * np.pi, 5)
    return Outline(radius, stretch, rng.uniform(0, np.pi), tuple(waves.tolist()), tuple(phases.tolist()))


def distance(shape: Outline, y: Field, x: Field) -> Field:
    """Measure the signed distance to an outline: exact for a circle, close for small stretch and waves."""
    cosine, sine, root = math.cos(shape.angle), math.sin(shape.angle), math.sqrt(shape.stretch)
    along = ((x * cosine + y * sine) / root).astype(np.float32)
    across = ((y * cosine - x * sine) * root).astype(np.float32)
    theta = np.arctan2(across, along)
    edge = np.ones_like(theta)
    for order, (wave, phase) in enumerate(zip(shape.waves, shape.phases, strict=True), start=2):
        edge += wave * np.cos(order * theta + phase)
    return np.hypot(along, across) - shape.radius * edge


def wedge(y: Field, x: Field, angle: float, ends: tuple[float, float], width: float, bend: float) -> Field:
    """Measure the distance to a cleft that runs in from one radius to another, bends aside and narrows from `width`."""
    outer, inner = ends
    radial = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    along = np.clip((outer - radial) / (outer - inner), 0, 1)
    aside = bend * (outer - inner) * along * along
    return np.hypot(radial - outer + along * (outer - inner), across - aside) - width * (1 - 0.65 * along)


def intersection(first: Field, second: Field, rounding: float) -> Field:
    """Keep the part two shapes share, with corners rounded over `rounding` pixels."""
    overlap = np.maximum(rounding - np.abs(first - second), 0)
    return (np.maximum(first, second) + overlap * overlap / (4 * rounding)).astype(np.float32)


def cover(signed: Field, softness: float = 1.0) -> Field:
    """Fill a shape: 1 inside, 0 outside, over an edge of `softness` pixels to either side."""
    ramp = np.clip(0.5 - signed / (2 * softness), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def ridge(signed: Field, at: float, width: float) -> Field:
    """Trace a soft line along a shape: 1 where the distance is `at`, falling off over `width` pixels."""
    return np.exp(-0.5 * ((signed - at) / width) ** 2)
