"""The most confident mistakes: test cells that got a wrong class with a high probability."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from alljax.storage.streamed_pictures import Pictures


class Mistake(NamedTuple):
    """One wrongly classified cell, in words a report can print."""

    name: str  # file name
    group: str  # the group that no split may separate, such as the slide
    label: str  # true class
    prediction: str  # predicted class
    probability: float  # the model's probability of the predicted class, 0 … 1
    image: UInt8[np.ndarray, 'height width 3']


def most_confident(
    probabilities: Float[np.ndarray, 'cells classes'],
    labels: Int[np.ndarray, ' cells'],
    images: Pictures,
    names: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    most: int = 12,
) -> list[Mistake]:
    """Return up to `most` wrongly classified cells, the most confident first.

    `names` and `groups` hold a string per cell.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    order = wrong[np.argsort(-confidence[wrong], kind='stable')][:most]
    return [
        Mistake(names[i], groups[i], classes[labels[i]], classes[predictions[i]], float(confidence[i]), images[i])
        for i in order
    ]
