"""The processes of a sweep."""

import threading

from alljax.baselines import extraction
from alljax.sweep import execution


def test_a_process_that_measured_features_ends_when_it_is_told_to():
    pool = execution._pool(1).executor
    many = ['ab'] * extraction.FEW  # so many that they go to processes of their own
    assert pool.submit(extraction.on_all_cores, len, many).result() == [2] * len(many)
    end = threading.Thread(target=pool.shutdown, daemon=True)
    end.start()
    end.join(100)  # idle helpers would hold it for 300 seconds
    assert not end.is_alive()
