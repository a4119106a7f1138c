"""The short form of kills.py: runs that are killed go on to the end of one that nobody disturbed."""

from random import Random

import pytest
from attacks import kills

FEW = 4  # kills


@pytest.mark.slow
@pytest.mark.parametrize('kind', [kind for kind, (processes, _) in kills.KINDS.items() if processes == 1])
def test_killed_runs_end_as_an_undisturbed_one(kind, tmp_path):
    tally = kills.attack(kind, FEW, Random(0), tmp_path)
    assert not tally.lost
    assert (tally.kills, tally.in_a_save > 0, tally.ended > 0) == (FEW, True, True)
    assert tally.disk < 3, 'two checkpoints are kept, and a third may be half written'
