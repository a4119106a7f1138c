import json
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alljax import models
from alljax.data import augment
from alljax.errors import UserError
from alljax.models.trees import flatten
from alljax.storage.checkpoints import Checkpoints
from alljax.training import loop, metrics_log
from alljax.training.loop import Best, Course, Plan
from alljax.training.step import init, make_step

IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (11, 64, 64, 3), np.uint8))
LABELS = jnp.arange(11, dtype=jnp.int32) % 2


@pytest.fixture(scope='module')
def setting():
    model = models.create('alexnet', 2, width=0.03, head=4, platform='gpu')
    variables = jax.tree.map(np.array, model.init(jax.random.key(0)))
    names = list(flatten(variables['params']))
    optimizer = optax.sgd(0.01, momentum=0.9)
    prepare = lambda images, key: augment.resize(images, 227) / 255  # noqa: E731
    step = make_step(model, optimizer, prepare, names, jnp.ones(2), 0)
    return SimpleNamespace(step=step, start=lambda: init(jax.tree.map(jnp.asarray, variables), optimizer, names))


def plan(epochs=3, patience=0, save_seconds=1e9, batch_size=4):
    return Plan(np.arange(10), batch_size, epochs, patience, 7, save_seconds)


def fit(setting, folder, plan, course=None, validate=None, step=None):
    folder.mkdir(exist_ok=True)
    checkpoints = Checkpoints(folder / 'checkpoints')
    start = setting.start()
    if course is None:
        latest = checkpoints.latest()
        course = loop.restore(*latest, start) if latest else Course(start, None, 0.0)
    rows = metrics_log.Records(folder, int(course.state.step))
    try:
        return loop.fit(step or setting.step, course, IMAGES, LABELS, plan, validate, rows, checkpoints, {'seed': 7})
    finally:
        rows.close()
        checkpoints.close()


def test_every_cell_is_seen_once_an_epoch_in_an_order_of_seed_and_epoch():
    first, again, second = (loop.order(plan(), epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 4)
    for epoch in (first, second):
        assert sorted(epoch[epoch >= 0]) == list(range(10))
        assert (epoch[-1] == -1).sum() == 2
    assert not np.array_equal(first, second)


def test_metrics_are_written_for_every_step(setting, tmp_path):
    course = fit(setting, tmp_path, plan(), validate=lambda variables: (0.5, 0.75))
    rows = metrics_log.read(tmp_path / 'metrics.jsonl')
    assert [row['step'] for row in rows if 'loss' in row] == list(range(1, 10))
    assert [row['epoch'] for row in rows if 'validation_loss' in row] == [1, 2, 3]
    assert int(course.state.step) == 9
    assert list((tmp_path / 'tensorboard').glob('events*'))


def test_a_run_stopped_at_any_step_ends_as_one_that_was_not(setting, tmp_path):
    validate = lambda variables: (float(jnp.abs(variables['params']['conv1']['kernel']).sum()), 0.5)  # noqa: E731
    whole = fit(setting, tmp_path / 'whole', plan(), validate=validate)
    for stop in (1, 3, 4, 8, 9):
        folder, done = tmp_path / f'stop{stop}', []

        def stopping(state, batch, look=False, stop=stop, done=done):
            if len(done) == stop:
                raise KeyboardInterrupt
            done.append(1)
            return setting.step(state, batch)

        if stop < 9:
            with pytest.raises(KeyboardInterrupt):
                fit(setting, folder, plan(save_seconds=0), validate=validate, step=stopping)
        resumed = fit(setting, folder, plan(save_seconds=0), validate=validate)
        for a, b in zip(jax.tree.leaves(resumed[:2]), jax.tree.leaves(whole[:2]), strict=True):
            np.testing.assert_array_equal(a, b)
        rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
        assert [row['step'] for row in rows if 'loss' in row] == list(range(1, 10))


def test_only_the_last_checkpoint_is_kept(setting, tmp_path):
    fit(setting, tmp_path, plan(save_seconds=0))
    assert [path.name for path in (tmp_path / 'checkpoints').iterdir() if path.is_dir()] == ['9']


def test_the_best_epoch_is_the_one_of_the_lowest_validation_loss(setting, tmp_path):
    losses = iter([3.0, 1.0, 2.0, 1.0])
    seen = []

    def validate(variables):
        seen.append(np.array(variables['params']['conv1']['kernel']))
        return next(losses), 0.5

    course = fit(setting, tmp_path, plan(epochs=4), validate=validate)
    assert course.best.epoch == 2
    np.testing.assert_array_equal(course.best.variables['params']['conv1']['kernel'], seen[1])


def test_patience_ends_training(setting, tmp_path):
    losses = iter([3.0, 2.0, 2.5, 2.5, 0.1])
    course = fit(setting, tmp_path, plan(epochs=9, patience=2), validate=lambda variables: (next(losses), 0.5))
    assert int(course.state.step) == 4 * 3
    assert loop.finished(12, Best({}, 2.0, 2), plan(epochs=9, patience=2))


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(setting, tmp_path):
    def broken(state, batch, look=False):
        after, metrics = setting.step(state, batch)
        if int(after.step) < 5:
            return after, metrics
        spoilt = jax.tree.map(lambda leaf: leaf * math.nan, after.variables)
        return after._replace(variables=spoilt), metrics._replace(loss=jnp.float32(math.nan))

    with pytest.raises(UserError, match=r'no longer a finite number at step 5.*--config.optimizer.rate'):
        fit(setting, tmp_path, plan(save_seconds=0), step=broken)
    tree, facts = Checkpoints(tmp_path / 'checkpoints').latest()
    assert facts['step'] == 4
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def test_a_state_that_is_not_finite_is_never_saved(setting, tmp_path):
    start = setting.start()
    spoilt = start._replace(variables=jax.tree.map(lambda leaf: leaf * math.inf, start.variables))
    with pytest.raises(UserError, match='no longer a finite number'):
        loop.save(Checkpoints(tmp_path), Course(spoilt, None, 0.0), {})
    assert Checkpoints(tmp_path).latest() is None


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    (tmp_path / 'metrics.jsonl').write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    rows = metrics_log.Records(tmp_path, 1)
    rows.write({'step': 2, 'loss': 1.0})
    rows.close()
    assert [row['loss'] for row in metrics_log.read(tmp_path / 'metrics.jsonl')] == [2.0, 1.0]
