"""The moments of saving: those of the clock in one process, the same steps in all of several."""

from itertools import pairwise

import pytest

from alljax.storage import hosts
from alljax.training import save_times
from alljax.training.save_times import SaveTimes


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes by hand."""
    now = [0.0]
    monkeypatch.setattr(save_times.time, 'monotonic', lambda: now[0])
    return now


def test_one_process_saves_by_its_clock(clock):
    saves, found = SaveTimes(10.0, 0), []
    for step in range(1, 31):
        clock[0] += 1
        if saves.due(step):
            found.append(step)
    assert found == [10, 20, 30]
    assert SaveTimes(0, 7).due(8)


@pytest.mark.parametrize('seconds', [0.0, 10.0])
def test_all_processes_save_at_the_steps_of_the_first_ones_clock(clock, monkeypatch, seconds):
    said = {}
    monkeypatch.setattr(hosts, 'count', lambda: 2)
    monkeypatch.setattr(hosts, 'tell', said.__setitem__)
    monkeypatch.setattr(hosts, 'told', said.__getitem__)
    both, found = [SaveTimes(seconds, 0), SaveTimes(seconds, 0)], []
    for step in range(1, 101):
        due = []
        for place, saves in enumerate(both):
            clock[0] += 1 if place else 0.0  # the other one would be late by its own
            monkeypatch.setattr(hosts, 'place', lambda place=place: place)
            due.append(saves.due(step))
        assert due[0] == due[1]
        if due[0]:
            found.append(step)
    assert found == [*range(1, 101)] if seconds == 0 else all(9 <= b - a <= 12 for a, b in pairwise(found))
    assert len(found) > 7
    assert len(said) == 100 if seconds == 0 else len(said) < 60
