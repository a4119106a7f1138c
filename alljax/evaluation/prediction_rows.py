"""The rows of a predictions.csv as columns: of a run's test cells, or of all folds and repetitions together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

Rows = Sequence[Mapping[str, str]]  # file, group, label, prediction, probability_X of each class X; fold, repeat


class Predictions(NamedTuple):
    """Predictions of test cells, one a row; a cell has one in each repetition."""

    files: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    right: Bool[np.ndarray, ' rows']
    confidence: Float[np.ndarray, ' rows'] | None  # probability of the predicted class; None where rows have none
    repeats: int  # repetitions, 1 for a single run

    @property
    def cells(self) -> int:
        """The number of different cells."""
        return len(set(self.files))


def columns(rows: Rows) -> Predictions:
    """The columns of rows; KeyError where one has no file, group, label or prediction."""
    files, groups, labels, predictions = (
        tuple(row[name] for row in rows) for name in ('file', 'group', 'label', 'prediction')
    )
    shares = [row.get(f'probability_{row["prediction"]}') for row in rows]
    return Predictions(
        files,
        groups,
        labels,
        predictions,
        np.array([label == prediction for label, prediction in zip(labels, predictions, strict=True)], bool),
        None if None in shares else np.array([float(share or 0) for share in shares]),
        max(1, len({row.get('repeat', '') for row in rows})),
    )
