"""The bar over all runs of a sweep."""

import os
import re
import termios
import time
from multiprocessing import Pipe

import pytest

from alljax.evaluation import formatting
from alljax.runs.speeds import Speed
from alljax.storage.progress_bar import Stage
from alljax.sweep import progress
from alljax.sweep.progress import PICTURES, STEPS, State
from alljax.sweep.work import Work

SPEED = Speed(step=0.1, picture=0.02, run=8.0)


def works(count=2):
    return {f'fold-{n}': Work(f'fold {n}', 'net', 100, 0 if n else 500, SPEED) for n in range(count)}


def test_time_left_follows_the_work_and_what_it_really_takes():
    state = State(works=works())
    assert progress.left(state, 0.0) == pytest.approx(2 * (10 + 8) + 10 + progress.END)
    progress.heard(state, 0.0, Stage('features', 0, 500, PICTURES), 'fold-0')
    progress.heard(state, 5.0, Stage('features', 250, 500, PICTURES), 'fold-0')
    assert progress.left(state, 5.0) == pytest.approx(2 * (10 + 8) + 5 + progress.END)
    progress.heard(state, 10.0, Stage('epoch 1 of 4', 0, 100, STEPS), 'fold-0')
    progress.heard(state, 20.0, Stage('epoch 2 of 4', 50, 100, STEPS), 'fold-0')  # twice as slow as it was
    assert progress.left(state, 20.0) == pytest.approx(10 + 8 + 20 + 8 + progress.END)
    assert progress.words(state, 20.0) == '50 s left, fold 0: epoch 2 of 4'
    progress.heard(state, 30.0, Stage('epoch 4 of 4', 100, 100, STEPS), 'fold-0')
    progress.ended(state, 'fold-0', 46.0)
    assert progress.left(state, 46.0) == pytest.approx(20 + 12 + progress.END)  # of 8 s and the 16 s of this run


def test_what_was_measured_comes_in_by_and_by():
    state = State(works=works(1))
    progress.heard(state, 0.0, Stage('features', 0, 500, PICTURES), 'fold-0')
    progress.heard(state, 5.0, Stage('features', 50, 500, PICTURES), 'fold-0')  # 0.1 s each, and 0.02 s were known
    blended = 0.4 * 0.1 + 0.6 * 0.02  # a tenth is 0.4 of the quarter from which it counts alone
    assert progress.left(state, 5.0) == pytest.approx(450 * blended + 10 + 8 + progress.END)
    progress.heard(state, 20.0, Stage('features', 200, 500, PICTURES), 'fold-0')
    assert progress.left(state, 20.0) == pytest.approx(300 * 0.1 + 10 + 8 + progress.END)


def test_several_at_a_time_take_less_and_pictures_in_the_cache_none():
    state = State(works=works(), jobs=2)
    assert progress.left(state, 0.0) == pytest.approx((2 * 18 + 10) / 2 + progress.END)
    progress.heard(state, 1.0, Stage('epoch 1 of 4', 0, 100, STEPS), 'fold-0')
    assert progress.left(state, 1.0) == pytest.approx(2 * 18 / 2 + progress.END)


def test_before_the_runs_are_known_there_is_a_rough_time():
    state = State(rough=60.0)
    progress.heard(state, 3.0, Stage('looking for repeats: reading', 40, 511, ' pictures'))
    assert progress.words(state, 5.0) == '60 s left, looking for repeats: reading 40 of 511, 2 s'


@pytest.mark.parametrize(('seconds', 'said'), [(3.0, '10 s'), (84.0, '80 s'), (100.0, '2 min'), (3700.0, '1 h 2 min')])
def test_a_time_is_said_as_one_does(seconds, said):
    assert formatting.about(seconds) == said


def test_on_a_terminal_it_is_one_line_that_is_never_silent(monkeypatch):
    monkeypatch.setattr(progress, 'TICK', 0.02)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 90))
    with os.fdopen(theirs, 'w') as terminal:
        bar = progress.Bar(terminal, rough=40.0)
        bar.heard(Stage('reading the cells'))
        time.sleep(0.1)
        bar.planned(works())
        listening, telling = Pipe(duplex=False)
        with bar.following('fold-1', listening):
            telling.send(Stage('epoch 4 of 20', 20, 100, STEPS))
            time.sleep(0.2)
        bar.close()
        said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    lines = [line for line in re.split(r'\r|\x1b\[A', said) if line.strip()]
    assert len(lines) > 4  # also while nothing was told
    assert 'left, reading the cells' in said
    assert 'left, fold 1: epoch 4 of 20' in said
    shares = [int(found) for found in re.findall(r'(\d+) %\|', said)]
    assert shares == sorted(shares)
    assert max(map(len, lines)) <= 90
    assert '\n' not in said


def test_the_seconds_of_this_process_begin_anew_after_the_runs():
    state = State(works=works())
    progress.heard(state, 1.0, Stage('reading the cells'))
    for run in state.works:
        progress.heard(state, 4.0, Stage('testing'), run)
    progress.ended(state, 'fold-0', 100.0)
    progress.ended(state, 'fold-1', 104.0)
    assert progress.words(state, 106.0) == '10 s left, tables and pages, 2 s'


def test_in_a_pipe_there_is_none():
    with progress.shown(1, 0.0) as bar:
        assert bar is None
