"""The work of a run, in numbers of what a speed of this machine is known of."""

from typing import NamedTuple

from alljax.config.plan import Plan
from alljax.runs.speeds import Speed

OVERHEAD = 10.0  # seconds of a run besides its steps, on two cores: reading, drawing copies, compiling, report
GUESS = Speed(0.5, 0.03, OVERHEAD)  # where nothing was timed: of AlexNet on two cores
OF_HEAD = Speed(0.005, 0.03, OVERHEAD)  # and where its last layers alone learn


class Work(NamedTuple):
    """The work of one run."""

    name: str
    kind: str  # of the runs that are as fast
    steps: int
    pictures: int  # whose features no run before it computes
    speed: Speed  # as earlier runs of this kind have measured it, or a guess

    @property
    def seconds(self) -> float:
        """The time that it takes."""
        return self.steps * self.speed.step + self.pictures * self.speed.picture + self.speed.run


def guess(plan: Plan) -> Speed:
    """The speed of a kind of run that was never measured."""
    return OF_HEAD if plan.training.freeze and not plan.augmentation.at_each_step else GUESS
