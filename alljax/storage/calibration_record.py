"""The certainty of a model, as its card says it, measured on cells that did not train it."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

PICTURES = 'pictures'
OF_FOLDS = 'folds of the cross-validation'  # the source of a final model's calibration
TEMPERATURE, ANSWERS = 'temperature', 'answers'  # what a calibration may refuse
UNLIKE = (PICTURES, 'mahalanobis', 'knn', 'energy')  # what tells a cell unlike the training cells


class Calibration(NamedTuple):
    """The numbers that turn a model's probabilities into calibrated ones, sets of classes and an 'uncertain'."""

    temperature: float  # logits are divided by it; above 1 the model was too sure of itself
    coverage: float  # share of the cells of a new group whose class is in the set, on average
    least: float  # probability from which a class belongs to the set; 0 where so few groups bound nothing
    accuracy: float  # wanted of those that are not called uncertain
    certain: float | None  # confidence from which that was reached; None where no confidence reached it
    cells: int  # that it was measured on
    groups: int
    source: str  # 'validation fold', 'inner folds' or OF_FOLDS
    refused: tuple[str, ...] = ()  # TEMPERATURE, which is 1 then, and ANSWERS: what did not hold on held-out folds

    def to_json(self) -> dict[str, Any]:  # JSON
        """The record for a file; what was refused only where something was."""
        values = self._asdict()
        return values if self.refused else {name: value for name, value in values.items() if name != 'refused'}

    def problems(self) -> Iterator[str]:
        """All that is wrong with a record that was read from a file."""
        if not 0 < self.temperature < float('inf'):
            yield f'has {self.temperature} for calibration.temperature, expected a positive number'
        for name in ('coverage', 'least', 'accuracy', 'certain'):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                yield f'has {value} for calibration.{name}, expected 0 to 1'


class FeatureLikeness(NamedTuple):
    """A score of a model's features, and where a cell is unlike the training cells by it."""

    score: str  # one of UNLIKE, but for pictures
    limit: float  # beyond it a cell is unlike: 95th percentile of held-out cells
    cells: int  # that were held out
    groups: int
    source: str  # 'validation fold' or 'training groups left out in turn'

    def problems(self) -> Iterator[str]:
        """All that is wrong with a record that was read from a file."""
        if self.score not in UNLIKE[1:]:
            yield f'has {self.score!r} for likeness.score, expected {", ".join(UNLIKE[1:-1])} or {UNLIKE[-1]}'
        if not math.isfinite(self.limit):
            yield f'has {self.limit} for likeness.limit, expected a finite number'
