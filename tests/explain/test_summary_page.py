"""The page of a run's summary, from a made one: layers in words, and what the training cells give away."""

import re

import jax
import numpy as np

from alljax import gradients, models
from alljax.data.audit.shortcuts import Shortcut
from alljax.explain import summary_page
from alljax.explain.summary import Summary
from alljax.runs.network import TrainedNetwork
from alljax.storage.calibration_record import Calibration
from alljax.storage.card import Card


def test_layers_are_in_words_and_the_border_is_told():
    model = models.create('alexnet', 2, width=0.05)
    run = TrainedNetwork(model, jax.eval_shape(model.init, jax.random.key(0)), Card(('a', 'b')))
    row = gradients.Statistics(*[1.0] * len(gradients.Statistics._fields))
    border = Shortcut('border', '', 0.8, (0.7, 0.9), 0.5, 'says much about the label')
    found = Summary(9, 9, 100, {'conv1': row, 'all': row}, np.zeros((2, 2)), [1.0], (1.0, 0.1), [], (border,))
    text = re.sub(r'\s+', ' ', summary_page.render(run, 'my run', found))
    assert '<th scope="row">convolution 1 (conv1)</th>' in text
    assert '<th scope="row">all layers</th>' in text
    assert 'the border alone (the outer 8 pixels) tells the class: right in 80% (70% to 90%), by chance in 50%.' in text
    assert 'at the model alone, since the run keeps no other checkpoint (--config.checkpoint.seconds saves' in text
    assert 'calibrated' not in text
    more = found._replace(checkpoints=('step 5', 'the model'))
    said = 'the mean over all checkpoints that the run keeps: step 5 and the model.'
    assert said in summary_page.render(run, 'my run', more)
    known = Calibration(1.5, 0.9, 0.1, 0.95, 0.8, cells=40, groups=10, source='validation fold')
    run = run._replace(card=Card(('a', 'b'), calibration=known))
    said = 'Probabilities are calibrated, as alljax predict gives them: logits are divided by 1.50.'
    assert said in summary_page.render(run, 'my run', found)
    assert any(line.startswith(said) for line in summary_page.lines(run, found))
