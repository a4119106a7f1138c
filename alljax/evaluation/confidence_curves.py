"""The accuracy of cells by the confidence of their prediction, with intervals over groups of cells."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from alljax.evaluation import intervals, metrics

STEPS = 100  # of the confidence from which a prediction counts as an answer
SLACK = 1e-9  # a confidence that is printed as 0.83 reaches a threshold of 0.83


class Answered(NamedTuple):
    """The cells whose confidence reaches a threshold."""

    threshold: float
    answered: int  # cells
    right: int
    interval: list[float] | None  # of the share that is right, 95 %; None without a cell
    over_groups: bool  # of the interval: by whole groups drawn anew, and not Wilson's


class Bin(NamedTuple):
    """The cells whose confidence is above `low` and not above `high`."""

    low: float
    high: float
    cells: int
    confidence: float  # mean
    accuracy: float
    interval: list[float]  # of the accuracy, 95 %
    over_groups: bool


def abstention(
    confidence: Float[np.ndarray, ' cells'],
    right: Bool[np.ndarray, ' cells'],
    groups: Integer[np.ndarray, ' cells'],
    repeats: int = 1,
) -> list[Answered]:
    """Numbers of cells that are answered, and of these that are right, at thresholds of 0.00, 0.01, … 1.00.

    The risk-coverage curve of Geifman & El-Yaniv 2017 (arXiv:1705.08500). Its intervals draw the same groups for every
    threshold, so that of 0.00 is the interval of the accuracy. Each cell stands there `repeats` times.
    """
    thresholds = np.arange(STEPS + 1) / STEPS
    chosen = confidence[:, None] >= thresholds - SLACK
    return [
        Answered(float(threshold), *row)
        for threshold, row in zip(thresholds, _rows(chosen, right, groups, repeats), strict=True)
    ]


def reliability(
    confidence: Float[np.ndarray, ' cells'],
    right: Bool[np.ndarray, ' cells'],
    groups: Integer[np.ndarray, ' cells'],
    bins: int = metrics.BINS,
    repeats: int = 1,
) -> list[Bin]:
    """The bins of the expected calibration error that hold cells (`metrics.confidence_error`)."""
    member = metrics.bin_of(confidence, bins)
    chosen = member[:, None] == np.arange(bins)
    return [
        Bin(
            place / bins,
            (place + 1) / bins,
            cells,
            float(confidence[chosen[:, place]].mean()),
            hits / cells,
            bounds,
            by,
        )
        for place, (cells, hits, bounds, by) in enumerate(_rows(chosen, right, groups, repeats))
        if bounds is not None
    ]


def _rows(
    chosen: Bool[np.ndarray, 'cells columns'],
    right: Bool[np.ndarray, ' cells'],
    groups: Integer[np.ndarray, ' cells'],
    repeats: int,
) -> list[tuple[int, int, list[float] | None, bool]]:
    """For each column: cells, how many of them are right, the interval of that share, and whether it is over groups."""
    found: list[tuple[int, int, list[float] | None, bool]] = []
    for cells, hits, grouped in zip(
        chosen.sum(0), (chosen & right[:, None]).sum(0), intervals.share_bootstrap(chosen, right, groups), strict=True
    ):
        if not cells:
            found.append((0, 0, None, False))
            continue
        bounds = intervals.quoted(
            {'bootstrap_groups': grouped, 'wilson': intervals.wilson(hits, cells, repeats=repeats)}
        )
        found.append((int(cells), int(hits), bounds, bounds is grouped))
    return found
