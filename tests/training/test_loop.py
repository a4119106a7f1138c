import json
import math
import os
import re
import shutil
from random import Random
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from damage import damage, files
from helpers import variables_of

from alljax import models
from alljax.data.split import balanced_chances
from alljax.errors import UserError
from alljax.models.trees import flatten
from alljax.storage.checkpoints import Checkpoints
from alljax.training import loop, metrics_log, progress
from alljax.training.batch_sources import DeviceCells
from alljax.training.loop import Files, Schedule, Steps
from alljax.training.metrics_log import MetricsLog
from alljax.training.progress import Best, Progress
from alljax.training.step import TrainingSetup, initial_state, make_epoch, make_step

CELLS = DeviceCells(
    jnp.asarray(np.random.default_rng(0).integers(0, 256, (11, 64, 64, 3), np.uint8)),
    jnp.arange(11, dtype=jnp.int32) % 2,
)


@pytest.fixture(scope='module')
def training():
    model = models.create('alexnet', 2, width=0.03, head=4, size=64, platform='gpu')
    variables = jax.tree.map(np.array, variables_of(model.init))
    names = list(flatten(variables['params']))
    optimizer = optax.sgd(0.01, momentum=0.9)
    prepare = lambda images, key: images / jnp.float32(255)  # noqa: E731
    setup = TrainingSetup(model, optimizer, prepare, names, jnp.ones(2), 0)
    start = lambda: initial_state(setup, jax.tree.map(jnp.asarray, variables))  # noqa: E731
    return SimpleNamespace(step=make_step(setup), epoch=make_epoch(setup), start=start)


def schedule(epochs=3, patience=0, save_seconds=1e9, batch_size=4):
    return Schedule(np.arange(10), batch_size, epochs, patience, 7, save_seconds)


def fit(training, folder, schedule, validate=None, steps=None):
    folder.mkdir(exist_ok=True)
    checkpoints = Checkpoints(folder / 'checkpoints')
    start = training.start()
    latest = checkpoints.latest()
    before = progress.restore(*latest, start) if latest else Progress(start, None, 0.0)
    files = Files(MetricsLog(folder, int(before.state.step)), checkpoints, {'seed': 7})
    try:
        return loop.fit(steps or Steps(training.step), before, CELLS, schedule, validate, files)
    finally:
        files.metrics.close()
        checkpoints.close()


def test_every_cell_is_seen_once_an_epoch_in_an_order_of_seed_and_epoch():
    first, again, second = (loop.batches(schedule(), epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 4)
    for epoch in (first, second):
        assert sorted(epoch[epoch >= 0]) == list(range(10))
        assert (epoch[-1] == -1).sum() == 2
    assert not np.array_equal(first, second)


def test_balanced_batches_draw_classes_and_groups_equally_in_an_order_of_seed_and_epoch():
    labels, groups = np.array([0] * 6 + [1] * 2, np.int32), np.array([0, 0, 0, 0, 0, 1, 2, 3], np.int32)
    chances = balanced_chances(labels, groups)
    np.testing.assert_allclose(chances, [0.05] * 5 + [0.25] * 3)
    balanced = Schedule(np.arange(10, 18), 3, 1, 0, 7, 1e9, chances=chances)
    epochs = [loop.batches(balanced, epoch) for epoch in range(400)]
    assert epochs[0].shape == (3, 3)
    assert (epochs[0] >= 0).sum() == 8
    np.testing.assert_array_equal(loop.batches(balanced, 3), epochs[3])
    drawn = np.concatenate(epochs).ravel()
    counts = np.bincount(drawn[drawn >= 0] - 10, minlength=8) / (400 * 8)
    np.testing.assert_allclose(counts, chances, atol=0.025)


def test_metrics_are_written_for_every_step(training, tmp_path):
    ended = fit(training, tmp_path, schedule(), validate=lambda variables: (0.5, 0.75))
    rows = metrics_log.read(tmp_path / 'metrics.jsonl')
    assert [row['step'] for row in rows if 'loss' in row] == list(range(1, 10))
    assert [row['epoch'] for row in rows if 'validation_loss' in row] == [1, 2, 3]
    assert int(ended.state.step) == 9
    assert list((tmp_path / 'tensorboard').glob('events*'))


def test_an_epoch_as_one_program_is_its_steps(training, tmp_path):
    asked = []

    def epoch(state, batch):
        asked.append(batch.chosen.shape)
        return training.epoch(state, batch)

    steps = Steps(training.step, epoch=epoch)
    found = [fit(training, tmp_path / name, schedule(), None, how) for name, how in (('one', None), ('all', steps))]
    assert asked == [(3, 4)] * 3
    for one, other in zip(*(jax.tree.leaves(ended.state) for ended in found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    one, other = (metrics_log.read(tmp_path / name / 'metrics.jsonl') for name in ('one', 'all'))
    assert [row['step'] for row in other] == list(range(1, 10))
    np.testing.assert_allclose([row['loss'] for row in other], [row['loss'] for row in one], rtol=1e-5)
    assert [row['accuracy'] for row in other] == [row['accuracy'] for row in one]


def test_an_epoch_as_one_program_goes_on_after_a_step_in_the_middle(training, tmp_path):
    stop(training, tmp_path, 4)
    asked = []

    def epoch(state, batch):
        asked.append((int(state.step), batch.chosen.shape))
        return training.epoch(state, batch)

    ended = fit(training, tmp_path, schedule(), None, Steps(training.step, epoch=epoch))
    assert asked == [(4, (2, 4)), (6, (3, 4))]
    assert int(ended.state.step) == 9


def test_a_step_and_an_epoch_lower_for_cuda_and_ask_the_host_for_nothing(training):
    batches = {'step': CELLS.batch(np.arange(4)), 'epoch': CELLS.batch(np.arange(8).reshape(2, 4))}
    for name, batch in batches.items():
        program = getattr(training, name)
        lowered = program.trace(training.start(), batch).lower(lowering_platforms=('cuda',)).as_text()
        assert 'callback' not in lowered and 'infeed' not in lowered and 'outfeed' not in lowered  # noqa: PT018
        state = training.start()
        with jax.transfer_guard('disallow'):
            state, _ = program(state, batch)
            with pytest.raises(Exception, match=r'(?i)disallowed'):
                program(state, batch._replace(chosen=np.asarray(batch.chosen)))


@pytest.mark.slow
def test_a_run_stopped_at_any_step_ends_as_one_that_was_not(training, tmp_path):
    validate = lambda variables: (float(jnp.abs(variables['params']['conv1']['kernel']).sum()), 0.5)  # noqa: E731
    whole = fit(training, tmp_path / 'whole', schedule(), validate=validate)
    for stop in (1, 3, 4, 8, 9):
        folder, done = tmp_path / f'stop{stop}', []

        def stopping(state, batch, stop=stop, done=done):
            if len(done) == stop:
                raise KeyboardInterrupt
            done.append(1)
            return training.step(state, batch)

        if stop < 9:
            with pytest.raises(KeyboardInterrupt):
                fit(training, folder, schedule(save_seconds=0), validate=validate, steps=Steps(stopping))
        resumed = fit(training, folder, schedule(save_seconds=0), validate=validate)
        for a, b in zip(jax.tree.leaves(resumed[:2]), jax.tree.leaves(whole[:2]), strict=True):
            np.testing.assert_array_equal(a, b)
        rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
        assert [row['step'] for row in rows if 'loss' in row] == list(range(1, 10))


def test_only_the_last_two_checkpoints_are_kept(training, tmp_path):
    fit(training, tmp_path, schedule(save_seconds=0))
    assert sorted(path.name for path in (tmp_path / 'checkpoints').iterdir()) == ['8', '9']


@pytest.fixture(scope='module')
def whole(training, tmp_path_factory):
    """The end of an undisturbed run."""
    return fit(training, tmp_path_factory.mktemp('whole'), schedule())


def stop(training, folder, after):
    """Trains with a checkpoint after each step, and is stopped after some."""
    done = []

    def stopping(state, batch):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(1)
        return training.step(state, batch)

    with pytest.raises(KeyboardInterrupt):
        fit(training, folder, schedule(save_seconds=0), steps=Steps(stopping))


@pytest.mark.parametrize(
    ('file', 'kind'),
    [('facts/metadata', 'empty'), ('facts/metadata', 'bit'), ('tree/manifest.ocdbt', 'missing'),
     ('tree/_METADATA', 'folder'), ('the large one', 'bytes'), ('the large one', 'half')],
)  # fmt: skip
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(training, tmp_path, caplog, whole, file, kind):
    stop(training, tmp_path, 5)
    newest = tmp_path / 'checkpoints' / '5'
    large = max(files(newest), key=lambda path: path.stat().st_size)
    if kind == 'half':
        os.truncate(large, large.stat().st_size // 2)  # its last bytes may be no leaf's: Orbax leaves nodes behind
    else:
        damage(large if file == 'the large one' else newest / file, kind, Random(file + kind))
    ended = fit(training, tmp_path, schedule())
    for a, b in zip(jax.tree.leaves(ended[:2]), jax.tree.leaves(whole[:2]), strict=True):
        np.testing.assert_array_equal(a, b)
    (said,) = [record.getMessage() for record in caplog.records if 'damaged' in record.getMessage()]
    assert re.search(r'checkpoints/5: .*this checkpoint is damaged: going on from the one before, of step 4', said)
    rows = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows if 'loss' in row] == list(range(1, 10))
    assert not list((tmp_path / 'checkpoints').glob('*.damaged'))


def test_without_a_whole_checkpoint_the_remedy_is_told(training, tmp_path):
    stop(training, tmp_path, 2)
    for step in ('1', '2'):
        damage(tmp_path / 'checkpoints' / step / 'facts' / 'metadata', 'empty', Random(0))
    with pytest.raises(UserError, match=r'no checkpoint is whole: delete \S+/checkpoints and give the same command'):
        fit(training, tmp_path, schedule())
    shutil.rmtree(tmp_path / 'checkpoints')
    assert int(fit(training, tmp_path, schedule()).state.step) == 9


def test_the_best_epoch_is_the_one_of_the_lowest_validation_loss(training, tmp_path):
    losses = iter([3.0, 1.0, 2.0, 1.0])
    seen = []

    def validate(variables):
        seen.append(np.array(variables['params']['conv1']['kernel']))
        return next(losses), 0.5

    ended = fit(training, tmp_path, schedule(epochs=4), validate=validate)
    assert ended.best.epoch == 2
    np.testing.assert_array_equal(ended.best.variables['params']['conv1']['kernel'], seen[1])


def test_the_monitored_step_takes_its_turns(training, tmp_path):
    done = []

    def monitored(state, batch):
        done.append(int(state.step))
        after, metrics = training.step(state, batch)
        return after, metrics._replace(gradient_statistics={'gradient_norm/all': jnp.float32(len(done))})

    fit(training, tmp_path, schedule()._replace(gradients_every=4), steps=Steps(training.step, monitored))
    assert done == [0, 4, 8]
    rows = metrics_log.read(tmp_path / 'metrics.jsonl')
    assert {row['step']: row['gradient_norm/all'] for row in rows if 'gradient_norm/all' in row} == {1: 1, 5: 2, 9: 3}


def test_patience_ends_training(training, tmp_path):
    losses = iter([3.0, 2.0, 2.5, 2.5, 0.1])
    ended = fit(training, tmp_path, schedule(epochs=9, patience=2), validate=lambda variables: (next(losses), 0.5))
    assert int(ended.state.step) == 4 * 3
    assert loop.finished(12, Best({}, 2.0, 2), schedule(epochs=9, patience=2))


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(training, tmp_path):
    def broken(state, batch):
        after, metrics = training.step(state, batch)
        if int(after.step) < 5:
            return after, metrics
        spoilt = jax.tree.map(lambda leaf: leaf * math.nan, after.variables)
        return after._replace(variables=spoilt), metrics._replace(loss=jnp.float32(math.nan))

    with pytest.raises(UserError, match=r'no longer a finite number at step 5.*--config.optimizer.rate'):
        fit(training, tmp_path, schedule(save_seconds=0), steps=Steps(broken))
    tree, facts = Checkpoints(tmp_path / 'checkpoints').latest()
    assert facts['step'] == 4
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def test_a_state_that_is_not_finite_is_never_saved(training, tmp_path):
    start = training.start()
    spoilt = start._replace(variables=jax.tree.map(lambda leaf: leaf * math.inf, start.variables))
    with pytest.raises(UserError, match='no longer a finite number'):
        progress.save(Checkpoints(tmp_path), Progress(spoilt, None, 0.0), {})
    assert Checkpoints(tmp_path).latest() is None


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    (tmp_path / 'metrics.jsonl').write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    log = MetricsLog(tmp_path, 1)
    log.write({'step': 2, 'loss': 1.0})
    log.close()
    assert [row['loss'] for row in metrics_log.read(tmp_path / 'metrics.jsonl')] == [2.0, 1.0]
