"""Pictures that a segmentation meets sooner or later."""

import numpy as np
from PIL import Image

from alljax.data.synthetic import draw, plan, slide


def cell(number=0, size=257, cells=80, seed=0):
    """A drawn cell and the truth about it."""
    chosen = plan(cells, seed)[number]
    return draw(chosen.kind, slide(seed, chosen.slide), np.random.default_rng([seed, 2, number + 1]), size)


def small(pixels, size=96):
    return np.asarray(Image.fromarray(pixels).resize((size, size)))


def background(size=96):
    """Pink without any cell, with the camera's noise."""
    rng = np.random.default_rng(0)
    return (np.array([230, 200, 205]) + rng.normal(0, 3, (size, size, 3))).clip(0, 255).astype(np.uint8)


def red_cells(size=96):
    """Only red cells, none of them in the middle."""
    picture = background(size)
    y, x = np.mgrid[:size, :size]
    for middle in ((12, 14), (80, 20), (15, 82), (84, 80)):
        picture[np.hypot(y - middle[0], x - middle[1]) < 11] = (200, 120, 130)
    return picture


def touching(size=96):
    """Two cells, nucleus to nucleus."""
    picture = background(size)
    y, x = np.mgrid[:size, :size]
    for middle in (35, 61):
        picture[np.hypot(y - 48, x - middle) < 19] = (180, 170, 215)
        picture[np.hypot(y - 48, x - middle) < 17] = (90, 60, 140)
    return picture


def cut(size=96):
    """A cell of which the border of the picture leaves a half."""
    picture = background(size)
    y, x = np.mgrid[:size, :size]
    picture[np.hypot(y - 48, x) < 34] = (180, 170, 215)
    picture[np.hypot(y - 48, x) < 26] = (90, 60, 140)
    return picture


def awkward():
    """Names and pictures, none of which may stop a system."""
    rng = np.random.default_rng(0)
    return {
        'white': np.full((96, 96, 3), 255, np.uint8),
        'black': np.zeros((96, 96, 3), np.uint8),
        'one color': np.full((96, 96, 3), (180, 120, 200), np.uint8),
        'two colors': np.where(np.mgrid[:96, :96][0][..., None] < 50, (250, 240, 240), (90, 60, 140)).astype(np.uint8),
        'gray': np.repeat(rng.integers(0, 256, (96, 96, 1), np.uint8), 3, 2),
        'noise': rng.integers(0, 256, (96, 96, 3), np.uint8),
        'no cell': background(),
        'no cell, red ones': red_cells(),
        'touching': touching(),
        'cut by the border': cut(),
        'one pixel': np.full((1, 1, 3), 90, np.uint8),
        'narrow': small(cell(0).image)[:, 40:44],
        'a cell': small(cell(0).image),
    }
