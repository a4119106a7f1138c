"""A calibrated network's own words: its probabilities are those of logits that are divided by a temperature."""

from functools import lru_cache
from typing import cast

from jaxtyping import Array

from alljax.models import Apply, Variables
from alljax.storage.calibration_record import Calibration


def temperature_of(known: Calibration | None) -> float:
    """The number that logits are divided by; 1 for a model that is not calibrated."""
    return 1.0 if known is None else known.temperature


@lru_cache(maxsize=8)  # the same function each time, or all is compiled again
def divided(apply: Apply, temperature: float) -> Apply:
    """`apply` with its logits divided by a temperature, so that their softmax is what the model says."""
    if temperature == 1:
        return apply

    def calibrated(variables: Variables, x: Array) -> Array:
        return apply(variables, x) / temperature

    return cast(Apply, calibrated)


def note(known: Calibration | None) -> str:
    """A sentence on the probabilities of a calibrated model; '' for any other."""
    if known is None:
        return ''
    return (
        f'Probabilities are calibrated, as alljax predict gives them: logits are divided by {known.temperature:.2f}. '
        'Gradients are those of the logits as they come.'
    )
