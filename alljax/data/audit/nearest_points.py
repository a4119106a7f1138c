"""The nearest points of each point of a large set, all distances looked at, few at a time."""

import numpy as np
from jaxtyping import Float32, Int

ROWS, TILE = 256, 2048  # points whose nearest are sought together, and that they are compared with at once
SPARE = 4  # points more than are asked for, among which double precision decides


def nearest_points(points: Float32[np.ndarray, 'points axes'], count: int) -> Int[np.ndarray, 'points count']:
    """The `count` points nearest to each, itself among them, the nearest first; all points where there are no more.

    Time grows with the square of the points: each of 250,000 of 48 axes takes a core 1.1 ms. Memory grows with their
    number, for a tile of distances is discarded as soon as it was looked at.
    """
    count = min(count, len(points))
    half = 0.5 * np.einsum('ij,ij->i', points, points)
    to = np.concatenate([points, half[:, None]], 1)  # so that one product gives half of a distance, less a constant
    found = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), ROWS):
        asked = points[start : start + ROWS]
        some = _some_nearest(np.concatenate([-asked, np.ones((len(asked), 1), np.float32)], 1), to, count + SPARE)
        apart = points[some].astype(np.float64) - asked[:, None]
        exact = np.einsum('ijk,ijk->ij', apart, apart)
        chosen = np.lexsort((some, exact))[:, :count]  # equal distances by their places
        found[start : start + ROWS] = np.take_along_axis(some, chosen, 1)
    return found


def _some_nearest(
    asked: Float32[np.ndarray, 'rows axes'], to: Float32[np.ndarray, 'points axes'], count: int
) -> Int[np.ndarray, 'rows _']:
    """The `count` points of the least products with each row, in no order; all where there are no more."""
    rows = np.arange(len(asked))[:, None]
    near, far = np.zeros((len(asked), 0), np.float32), np.full((len(asked), 1), np.inf, np.float32)
    places = np.zeros((len(asked), 0), np.int64)
    for start in range(0, len(to), TILE):
        products = asked @ to[start : start + TILE].T
        if near.shape[1] < count:
            values, new = products, np.broadcast_to(np.arange(start, start + products.shape[1]), products.shape)
        else:
            values, new = _below(products, far, start)
        near, places = np.concatenate([near, values], 1), np.concatenate([places, new], 1)
        if near.shape[1] > count:
            kept = np.argpartition(near, count - 1, 1)[:, :count]
            near, places = near[rows, kept], places[rows, kept]
        far = near.max(1, keepdims=True)
    return places


def _below(
    products: Float32[np.ndarray, 'rows tile'], least: Float32[np.ndarray, 'rows 1'], start: int
) -> tuple[Float32[np.ndarray, 'rows most'], Int[np.ndarray, 'rows most']]:
    """Those of the products that are below the value of their row, infinite ones after them, and their places."""
    row, column = np.divmod(np.flatnonzero(products < least), products.shape[1])
    counts = np.bincount(row, minlength=len(products))
    turn = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)  # the first of its row, the second, …
    values = np.full((len(products), int(counts.max())), np.inf, np.float32)
    places = np.zeros(values.shape, np.int64)
    values[row, turn], places[row, turn] = products[row, column], start + column
    return values, places
