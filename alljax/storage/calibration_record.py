"""The certainty of a model, as its card says it, measured on cells that did not train it."""

from collections.abc import Iterator
from typing import NamedTuple

PICTURES = 'pictures'
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
    source: str  # 'validation fold' or 'inner folds'

    def problems(self) -> Iterator[str]:
        """All that is wrong with a record that was read from a file."""
        if not 0 < self.temperature < float('inf'):
            yield f'has {self.temperature} for calibration.temperature, expected a positive number'
        for name in ('coverage', 'least', 'accuracy', 'certain'):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                yield f'has {value} for calibration.{name}, expected 0 to 1'
