"""The views of a cell that a model's prediction is averaged over, as the card says it."""

import math
from collections.abc import Iterator
from typing import NamedTuple

TURNS = (1, 2, 4, 8)  # the picture itself; and its mirror image; its quarter turns; these and their mirror images
MOST_COPIES = 100


class PredictionViews(NamedTuple):
    """The pictures that are made of each cell: so many turns of it, and of each of its jittered copies."""

    turns: int = 1  # one of TURNS
    copies: int = 0  # beside the cell itself
    # amounts of the copies' jitter, as those of training cells:
    light: float = 0.0  # standard deviation of each channel's log gain
    stain: float = 0.0  # standard deviation of the log gain and of the shift of each stain
    blur: float = 0.0  # largest standard deviation, pixels of the picture as it is kept
    noise: float = 0.0  # largest standard deviation, of 255
    jpeg: int = 0  # lowest quality; 0 for no compression
    gray: float = 0.0  # probability of a copy without color

    @property
    def pictures(self) -> int:
        """Number of pictures of each cell that the model is asked about."""
        return self.turns * (1 + self.copies)

    def problems(self) -> Iterator[str]:
        """All that is wrong with a record that was read from a file."""
        if self.turns not in TURNS:
            yield f'has {self.turns} for views.turns, expected one of {", ".join(map(str, TURNS))}'
        if not 0 <= self.copies <= MOST_COPIES:
            yield f'has {self.copies} for views.copies, expected 0 to {MOST_COPIES}'
        for name, value in zip(self._fields[2:], self[2:], strict=True):
            if not (math.isfinite(value) and value >= 0):
                yield f'has {value} for views.{name}, expected a finite number, 0 or more'
