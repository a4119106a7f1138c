"""Features brought to one scale: by the training cells, or by the unlabelled slide or set that they come from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

PRIOR_CELLS = 8  # that the training side counts as, beside the cells of a slide

Values = Float[np.ndarray, 'cells features']
Column = Float[np.ndarray, ' features']


class Standardization(NamedTuple):
    """The mean and variance of each feature, and a factor that keeps a wide block of features from outweighing others.

    The factor is √(F / (B · f)) for the f features of one of B blocks, of F features in all: each block then has the
    same sum of variances.
    """

    mean: Column
    variance: Column
    factor: Column

    def apply(self, values: Values) -> Values:
        """The features less their mean, over their deviation, times their factor; constant ones are only moved."""
        deviation = np.sqrt(np.where(self.variance > 0, self.variance, 1))
        found: Values = (values - self.mean) / deviation * self.factor
        return found

    def of_set(self, values: Values) -> 'Standardization':
        """The same drawn toward a slide or set of n cells, which get the weight n / (n + 8) in mean and in variance.

        One cell is no sample: it leaves all as it is.
        """
        if len(values) < 2:
            return self
        share = len(values) / (len(values) + PRIOR_CELLS)
        return self._replace(
            mean=share * values.mean(0) + (1 - share) * self.mean,
            variance=share * values.var(0) + (1 - share) * self.variance,
        )


def fitted(values: Values, blocks: Sequence[int]) -> Standardization:
    """The standardization of training cells, whose features are `blocks` of so many columns, one after the other."""
    sizes = np.array([size for size in blocks if size])
    factor = np.repeat(np.sqrt(values.shape[1] / (len(sizes) * sizes)), sizes)
    return Standardization(values.mean(0), values.var(0), factor)


def by_set(standard: Standardization, values: Values, members: Sequence[Integer[np.ndarray, ' _']]) -> Values:
    """The features of cells, those of each set of `members` by its own standardization."""
    found = np.empty_like(values)
    for those in members:
        found[those] = standard.of_set(values[those]).apply(values[those])
    return found
