"""One bar over all runs of a sweep: how far it is, what is done now, and the time that is left."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from alljax.evaluation import formatting
from alljax.storage import progress_bar
from alljax.storage.progress_bar import TICK, Stage
from alljax.sweep.work import Work

FORM = '{percentage:3.0f} %|{bar:16}| {desc}'
END = 5.0  # seconds for tables and pages after the last run
STEPS, PICTURES = ' steps', ' images'  # units of stages whose speed is measured on the way
REST = ''  # and all else in a run
STARTING = Stage('starting')
PAGE = Stage('tables and pages')
SETTLED, SURE = 0.02, 0.25  # shares of a stage from which its own speed counts, and counts alone


@dataclass
class Running:
    """A run that has begun."""

    began: float  # on the clock of `time.monotonic`
    stage: Stage = STARTING
    stage_began: float = 0.0
    counted: dict[str, float] = field(default_factory=dict)  # unit → share of its work that is done
    spent: dict[str, float] = field(default_factory=dict)  # unit → seconds that it took
    expected: dict[str, float] = field(default_factory=dict)  # unit → seconds for one, by what was known before it


@dataclass
class State:
    """All that a bar knows."""

    works: dict[str, Work] = field(default_factory=dict)  # by folder
    jobs: int = 1
    rough: float = 0.0  # seconds of all that is not in `works` yet
    began: float = 0.0
    here: Stage = STARTING  # work of this process
    here_began: float = 0.0
    running: dict[str, Running] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    measured: dict[tuple[str, str], float] = field(default_factory=dict)  # kind of run and unit → seconds for one
    fraction: float = 0.0  # never falls


def heard(state: State, now: float, stage: Stage, run: str = '') -> None:
    """Notes what a run, or this process, says of its work."""
    if not run:
        state.here_began = state.here_began if stage.name == state.here.name else now
        state.here = stage
        return
    its = state.running.setdefault(run, Running(now, stage_began=now))
    if stage.unit != its.stage.unit:
        if its.stage.unit in (STEPS, PICTURES):  # one stage has to end before the next
            its.counted[its.stage.unit], its.spent[its.stage.unit] = 1.0, now - its.stage_began
        its.stage_began = now
    its.stage = stage
    work = state.works.get(run)
    if work and stage.unit in (STEPS, PICTURES) and stage.total:
        share = stage.done / stage.total
        its.counted[stage.unit] = share
        its.spent[stage.unit] = now - its.stage_began
        expected = its.expected.setdefault(stage.unit, _speed(state, work, stage.unit))
        if share >= SETTLED and stage.done > 1:
            weight = min(1.0, share / SURE)
            measured = its.spent[stage.unit] / stage.done
            state.measured[work.kind, stage.unit] = weight * measured + (1 - weight) * expected


def ended(state: State, run: str, now: float) -> None:
    """Notes that a run has come to its end, well or not."""
    state.ended.add(run)
    its, work = state.running.pop(run, None), state.works.get(run)
    if not state.running:  # the seconds of this process begin anew, and not where it stopped before the runs
        state.here, state.here_began = (PAGE if state.ended >= set(state.works) else STARTING), now
    if its and work:  # the first run of a process waits for its start, so it counts as much as what was known
        rest = max(0.0, now - its.began - sum(its.spent.values()))
        state.measured[work.kind, REST] = (rest + _speed(state, work, REST)) / 2


def left(state: State, now: float) -> float:
    """Seconds until all is done, by what is known of each kind of run by now."""
    waiting = [work for run, work in state.works.items() if run not in state.ended]
    seconds = sum(_left_of(state, run, work, now) for run, work in state.works.items() if run not in state.ended)
    rough = max(state.rough - (now - state.began), 0.2 * state.rough)
    return seconds / max(1, min(state.jobs, len(waiting))) + rough + END


def _left_of(state: State, run: str, work: Work, now: float) -> float:
    step, picture, other = (_speed(state, work, unit) for unit in (STEPS, PICTURES, REST))
    its = state.running.get(run)
    if its is None:
        return work.steps * step + work.pictures * picture + other
    steps, pictures = (work.steps * (1 - its.counted.get(STEPS, 0)), work.pictures * (1 - its.counted.get(PICTURES, 0)))
    if STEPS in its.counted:
        pictures = 0  # those that were in the cache already
    rest = other - (now - its.began - sum(its.spent.values()))
    return steps * step + pictures * picture + max(rest, 0.1 * other)


def _speed(state: State, work: Work, unit: str) -> float:
    """Seconds for one of a unit, or for all else in a run: by the runs before, and by what is stored before any."""
    stored = {STEPS: work.speed.step, PICTURES: work.speed.picture, REST: work.speed.run}
    return state.measured.get((work.kind, unit), stored[unit])


def words(state: State, now: float) -> str:
    """The work of this moment and the time that is left."""
    if state.running:
        said = '; '.join(
            f'{state.works[run].name if run in state.works else run}: {_stage(its.stage)}'
            for run, its in state.running.items()
        )
    else:
        said = f'{_stage(state.here)}, {now - state.here_began:.0f} s'
    return f'{formatting.about(left(state, now))} left, {said}'


def _stage(stage: Stage) -> str:
    if not stage.total or stage.unit == STEPS:  # whose name counts epochs
        return stage.name
    return f'{stage.name} {stage.done:,.0f} of {stage.total:,.0f}'


class Bar:
    """The bar on the terminal, which is drawn anew twice a second."""

    def __init__(self, file: TextIO | None = None, jobs: int = 1, rough: float = 0.0):
        """`rough` is the time that all takes, as far as it is known before the runs are."""
        now = time.monotonic()
        self.state = State(jobs=jobs, rough=rough, began=now, here_began=now)
        self._lock, self._done = threading.Lock(), threading.Event()
        self._channels: dict[str, Connection] = {}
        self._tqdm = tqdm(total=1.0, desc=STARTING.name, bar_format=FORM, dynamic_ncols=True, file=file, leave=False)
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._thread.start()

    def planned(self, works: Mapping[str, Work]) -> None:
        """Takes the work of the runs in the place of the rough time."""
        with self._lock:
            self.state.works, self.state.rough = dict(works), 0.0

    def heard(self, stage: Stage) -> None:
        """Shows work of this process."""
        with self._lock:
            heard(self.state, time.monotonic(), stage)

    @contextmanager
    def following(self, run: str, channel: Connection) -> Iterator[None]:
        """Shows what a run in another process says over a channel, until it has ended."""
        with self._lock:
            self._channels[run] = channel
            heard(self.state, time.monotonic(), STARTING, run)
        try:
            yield
        finally:
            with self._lock:
                self._listen(run, channel)  # to its last word, or the next run would say it
                del self._channels[run]
                ended(self.state, run, time.monotonic())

    def close(self) -> None:
        """Leaves the terminal to others."""
        self._done.set()
        self._thread.join()
        self._tqdm.close()

    def _listen(self, run: str, channel: Connection) -> None:
        try:
            while channel.poll():
                heard(self.state, time.monotonic(), channel.recv(), run)
        except (EOFError, OSError):  # its process was killed
            pass

    def _draw(self) -> None:
        while True:
            with self._lock:
                for run, channel in self._channels.items():
                    self._listen(run, channel)
                now, state = time.monotonic(), self.state
                elapsed = now - state.began
                state.fraction = max(state.fraction, elapsed / (elapsed + left(state, now)))
                self._tqdm.n = state.fraction
                self._tqdm.set_description_str(words(state, now))
            if self._done.wait(TICK):
                return


@contextmanager
def shown(jobs: int, rough: float) -> Iterator[Bar | None]:
    """The bar of a sweep, until the end of the `with`; None where there is no terminal, but a pipe or a log."""
    if not progress_bar.on_terminal():
        yield None
        return
    with ExitStack() as stack:
        bar = Bar(jobs=jobs, rough=rough)
        stack.callback(bar.close)
        stack.enter_context(logging_redirect_tqdm())  # a line of the log goes above it
        stack.enter_context(progress_bar.heard_by(bar.heard))
        yield bar
