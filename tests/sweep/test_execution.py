"""The processes of a sweep."""

import signal
import threading

import pytest

from alljax.baselines import extraction
from alljax.sweep import execution


@pytest.mark.slow  # it starts processes that import all of the package
def test_a_process_that_measured_features_ends_when_it_is_told_to():
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
