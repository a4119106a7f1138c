"""The processes of a sweep."""

import signal
import threading
from concurrent.futures import Future

import forked
import pytest
from helpers import plan_of

from alljax.baselines import extraction
from alljax.sweep import execution
from alljax.sweep.variants import Run, Variant
from configs import subtype


@pytest.mark.slow  # it starts processes that import all of the package
def test_a_process_that_measured_features_ends_when_it_is_told_to(monkeypatch):
    monkeypatch.setattr(execution, 'get_context', forked.context)
    pool = execution._pool(1).executor
    many = ['ab'] * extraction.FEW  # so many that they go to processes of their own
    assert pool.submit(extraction.on_all_cores, len, many).result() == [2] * len(many)
    end = threading.Thread(target=pool.shutdown, daemon=True)
    end.start()
    end.join(100)  # idle helpers would hold it for 300 seconds
    assert not end.is_alive()


def test_ctrl_c_waits_while_a_process_starts_and_is_then_as_before():
    def blocked():
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    with execution._interrupts_wait():
        assert blocked()  # and so in a process that is started here
        execution._handle_interrupts()  # as that process does
        assert not blocked()
    assert not blocked()


@pytest.mark.parametrize('together', [True, False])
def test_heads_are_trained_together_before_the_runs_if_asked_for(together, tmp_path, monkeypatch):
    done = []

    class Here:
        def submit(self, work, *arguments):
            future = Future()
            future.set_result(work(*arguments))
            return future

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(execution, '_pool', lambda jobs, heard: execution.Pool(Here()))
    monkeypatch.setattr(execution, '_log_result', lambda *_: None)
    monkeypatch.setattr(execution, 'run_one', lambda _, __, place: done.append(place.name) or '')
    monkeypatch.setattr(execution.heads_together, 'train', lambda runs: done.append(len(runs)) or len(runs))
    plan = plan_of(subtype.get_config())
    runs = [(Run(Variant(name, {}), 'grouped', 0, 0, {}, name), plan) for name in ('one', 'two')]
    execution.run_all(runs, '', tmp_path, 1, {}, together=together)
    assert done == [*([2] if together else []), 'one', 'two']
