"""The work of a run, in numbers of what a speed of this machine is known of."""

from typing import NamedTuple

from alljax.runs.speeds import Speed

OVERHEAD = 10.0  # seconds of a run besides its steps, on two cores: reading, drawing copies, compiling, report
GUESS = Speed(0.1, 0.03, OVERHEAD)  # where nothing was timed: of a small network on two cores


class Work(NamedTuple):
    """The work of one run."""

    name: str
    kind: str  # of the runs that are as fast
    steps: int
    pictures: int  # whose features no run before it computes
    speed: Speed | None  # as earlier runs of this kind have measured it

    @property
    def seconds(self) -> float:
        """The time that it takes, by a guess where the speed is not known."""
        step, picture, run = self.speed or GUESS
        return self.steps * step + self.pictures * picture + run
