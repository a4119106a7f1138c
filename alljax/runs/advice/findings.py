"""The numbers that an advice consists of."""

from typing import NamedTuple

from alljax.data.audit.shortcuts import Shortcut
from alljax.data.cells import Cells
from alljax.runs.advice.growth import Growth
from alljax.runs.advice.protocol import ClassCount, Protocol
from alljax.runs.advice.scores import Score, SlideScore


class TableScores(NamedTuple):
    """Scores of one set of features."""

    name: str
    by_file: Score  # macro recall
    by_slide: Score | None
    slide_told: SlideScore | None


class WhiteBalance(NamedTuple):
    """The effect of white balance on the features of the whole picture."""

    gain: Score  # macro recall by slide with it less that without it
    slide_told: tuple[float, float] | None  # how well the slide is told without it and with it


class BySlide(NamedTuple):
    """Numbers that need slides."""

    protocol: Protocol
    untested: list[str]  # classes that are on one slide only
    lost: Score  # macro recall by file less by slide, of the features that were chosen most often
    chosen: TableScores  # these features
    expected: Score  # macro recall by slide with features chosen on inner folds: what a new slide would see
    recalls: dict[str, float]  # of each class, likewise
    white_balance: WhiteBalance
    growth: Growth


class Advice(NamedTuple):
    """All that is found of a folder."""

    cells: Cells  # their pictures reduced to one pixel
    task: str
    counts: list[ClassCount]
    scores: list[TableScores]
    chance: float  # macro recall without a look
    border_tells_slide: SlideScore | None
    shortcuts: tuple[Shortcut, ...]
    by_slide: BySlide | None  # None where no slides are known, or the classes are on too few of them

    @property
    def slides_known(self) -> bool:
        """True if a patient or slide is named for every cell."""
        return self.cells.origin.grouping == 'patient or slide'
