"""The moments at which training saves: after so many seconds, at the same step in all processes that train together."""

import time

from alljax.storage import hosts


class SaveTimes:
    """The clock of the checkpoints. The first process has it; the others ask it, at steps that all know beforehand.

    The next question comes after half of the time that is left, at the speed so far: most steps wait for no answer.
    """

    def __init__(self, seconds: int | float, step: int):
        """`seconds` lie between two saves; `step` is the number of steps that are done."""
        self._seconds, self._saved = seconds, time.monotonic()
        self._asked, self._asked_at, self._next = step, self._saved, step + 1

    def due(self, step: int) -> bool:
        """True if the state after this step has to be saved, which is to be done then."""
        if hosts.count() > 1 and step < self._next:
            return False
        now = time.monotonic()
        due = now - self._saved >= self._seconds
        if hosts.count() > 1:
            due, self._next = self._agreed(step, due, now)
        if due:
            self._saved = time.monotonic()
        return due

    def _agreed(self, step: int, due: bool, now: float) -> tuple[bool, int]:
        """The first process's answer, and the step of the next question."""
        what = f'save after step {step}'
        if not hosts.is_first():
            answer, asked_next = hosts.told(what).split()
            return answer == 'True', int(asked_next)
        left = self._seconds if due else self._seconds - (now - self._saved)
        steps = max(step - self._asked, 1)
        pace = max((now - self._asked_at) / steps, 1e-6)
        self._asked, self._asked_at = step, now
        following = step + max(1, min(int(left / pace / 2), 2 * steps))  # the first steps are no measure of all
        hosts.tell(what, f'{due} {following}')
        return due, following
