"""A batch is no larger than an epoch: what fills it up would cost memory for nothing."""

import numpy as np
import pytest
from helpers import make_cells, plan_of

from alljax.data.split import Split
from alljax.runs import network
from configs import common

CELLS = make_cells([0, 0, 0, 0, 1, 1, 0, 1])
PARTS = Split(np.arange(6), np.arange(0), np.arange(6, 8), 'random')


@pytest.mark.parametrize(
    ('asked', 'how', 'used'),
    [(100_000, 'none', 6), (7, 'none', 6), (6, 'none', 6), (3, 'none', 3), (100_000, 'oversample', 8),
     (8, 'oversample', 8), (100_000, 'undersample', 4)],
)  # fmt: skip
def test_a_batch_above_the_training_set_is_cut_with_a_note(caplog, asked, how, used):
    values = common.get_config()
    values.batch_size, values.data.equalize = asked, how
    plan = network.cut_batch_size(plan_of(values), CELLS, PARTS)
    assert plan.batch_size == used
    assert (f'batch_size={asked} is cut to {used}' in caplog.text) == (asked != used)
    assert network.schedule_of(plan, CELLS, PARTS).steps_per_epoch == (2 if asked == 3 else 1)
    assert plan.fields['batch_size'] == asked  # what config.json keeps is as it was asked for
