"""The facts that the sentences of a verdict are made of."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from alljax.evaluation import prediction_rows, slides
from alljax.evaluation.prediction_rows import Predictions, Rows
from alljax.evaluation.slides import KNOWN, Slide

SMALL_SHARE = 0.2  # of the slides or cells: so few that make half of the errors are the worst, more are no exception

Results = Mapping[str, Any]  # the content of results.json, or a part of it


class Sentence(NamedTuple):
    """A sentence of the verdict."""

    kind: str  # the name of what it is about: 'accuracy', 'worst slides', …
    text: str
    tone: str  # 'plain', 'good', 'warn', 'bad', or 'next' for advice


class Facts(NamedTuple):
    """A run's results and predictions, of a single run or of a cross-validation."""

    results: Results
    predictions: Predictions
    slides: list[Slide]  # the groups of the test cells, the one with most errors first

    @property
    def test(self) -> Results:
        """The scores of the test cells."""
        part: Results = self.results['test']
        return part

    @property
    def grouping(self) -> str:
        """The kind of groups: a key of formatting.GROUPINGS, or '' where an earlier release does not say."""
        return str(self.results['data'].get('grouping', ''))

    @property
    def leaky(self) -> bool:
        """True if cells of one slide may stand on both sides of the split."""
        return bool(self.results['split']['leaky'])

    @property
    def new_slides(self) -> bool:
        """True if every tested cell is of a slide that no training cell is of."""
        return self.grouping == KNOWN and not self.leaky

    @property
    def training_accuracy(self) -> float | None:
        """The accuracy on the training cells; None where it is not known, as in earlier releases."""
        found: float | None = self.results.get('train', {}).get('accuracy')
        return found

    @property
    def matrix(self) -> np.ndarray:
        """The confusion matrix, rows = true classes."""
        return np.array(self.test['confusion']['matrix'])

    @property
    def classes(self) -> list[str]:
        """The classes in the order of the confusion matrix."""
        return list(self.test['confusion']['labels'])

    def slides_of(self, name: str) -> int:
        """The number of tested slides with cells of a class."""
        return sum(name in slide.classes for slide in self.slides)


def facts(results: Results, rows: Rows) -> Facts:
    """The facts in the content of a results.json and in the rows of its predictions.csv."""
    return Facts(results, prediction_rows.columns(rows), slides.by_slide(rows))


def listed(names: list[str], most: int = 4) -> str:
    """Names in a sentence: 'a, b and c', and so many more."""
    shown, rest = names[:most], len(names) - most
    if rest > 0:
        return f'{", ".join(shown)} and {rest} more'
    return f'{", ".join(shown[:-1])} and {shown[-1]}' if len(shown) > 1 else ''.join(shown)
