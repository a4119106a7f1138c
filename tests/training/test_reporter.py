"""What a person reads while a network trains."""

import json
import logging

import jax.numpy as jnp
import pytest

from alljax.training.metrics_log import MetricsLog, training_accuracy
from alljax.training.reporter import Reporter
from alljax.training.step import Metrics


def step(loss, correct, cells=4):
    return Metrics(jnp.array(loss), jnp.array(correct), jnp.array(cells), {})


def test_each_accuracy_says_of_which_cells_it_is(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        reporter = Reporter(MetricsLog(tmp_path, 0), epochs=2, steps_per_epoch=2, step=0)
        for loss, correct in ((1.0, 1), (0.5, 2)):
            reporter.step_started(step(loss, correct))
        reporter.epoch_ended(1)
        reporter.validated(2, 1, 0.7, 0.5)
        for loss, correct in ((0.25, 4), (0.75, 3)):
            reporter.step_started(step(loss, correct))
        reporter.epoch_ended(2)
        reporter.close()
    said = [record.getMessage() for record in caplog.records if record.name == 'alljax.training.reporter']
    assert said == [
        'epoch 1 of 2: loss 0.750, training accuracy 37.5 %',
        'epoch 2 of 2: loss 0.500, training accuracy 87.5 %, validation accuracy 50.0%',
    ]


def test_the_bar_says_it_too_and_the_log_of_numbers_keeps_its_names(tmp_path):
    reporter = Reporter(MetricsLog(tmp_path, 0), epochs=1, steps_per_epoch=2, step=0)
    reporter.step_started(step(1.0, 1))
    reporter.fetch()
    assert 'loss 1.000, training accuracy 25.0%, ' in reporter._bar.postfix
    reporter.close()
    row = json.loads((tmp_path / 'metrics.jsonl').read_text())
    assert set(row) == {'step', 'epoch', 'loss', 'accuracy', 'images_per_second'}


def test_the_training_accuracy_is_that_of_an_epoch(tmp_path):
    metrics = MetricsLog(tmp_path, 0)
    for step, accuracy in enumerate((0.1, 0.2, 0.5, 0.7, 0.8, 1.0), 1):
        metrics.write({'step': step, 'epoch': step / 2, 'loss': 1.0, 'accuracy': accuracy})
        if not step % 2:
            metrics.write({'step': step, 'epoch': step / 2, 'validation_loss': 1.0, 'validation_accuracy': 0.3})
    metrics.close()
    found = [training_accuracy(tmp_path / 'metrics.jsonl', epoch) for epoch in (None, 1, 2, 3, 4)]
    assert found == [pytest.approx(value) for value in (0.9, 0.15, 0.6, 0.9)] + [None]
    assert training_accuracy(tmp_path / 'none.jsonl') is None
