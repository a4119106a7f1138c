"""A calibrated network's probabilities in an explanation: those of predict, wherever one is shown."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_cells
from scipy.special import softmax

from alljax.data.image_files import ImageFile
from alljax.explain import calibrated, measurements, methods, summary
from alljax.models import Input, Model
from alljax.runs.network import TrainedNetwork
from alljax.storage.calibration_record import Calibration
from alljax.storage.card import Card
from alljax.training import inference

KNOWN = Calibration(4.0, 0.9, 0.1, 0.95, 0.8, cells=40, groups=10, source='validation fold')


CLASSES = ('class0', 'class1', 'class2', 'class3')


def apply(variables, x):
    """A network of one layer, on the mean color of each quarter."""
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    quarters = x.reshape(len(x), 2, rows, 2, columns, 3).mean((2, 4))
    return quarters.reshape(len(x), -1) @ variables['params']['head']['kernel']


@pytest.fixture(scope='module')
def run():
    kernel = np.random.default_rng(0).normal(0, 3, (12, 4)).astype(np.float32)
    card = Card(CLASSES, input=Input(16), calibration=KNOWN)
    return TrainedNetwork(Model('one layer', None, apply, Input(16)), {'params': {'head': {'kernel': kernel}}}, card)


@pytest.fixture(scope='module')
def cells():
    return make_cells(np.arange(8) % 4, size=16)


@pytest.fixture(scope='module')
def logits(run, cells):
    return np.asarray(inference.make_logits(run.model)(run.variables, jnp.asarray(cells.images)))


def picture(cells, place):
    return ImageFile(Path(cells.names[place]), cells.images[place], '', (16, 16))


def test_curves_begin_and_end_with_the_probability_that_predict_gives(run, cells, logits):
    found = next(measurements.explain(run, [picture(cells, 0)], ['saliency'], methods.Options('', 1)))
    said = softmax(logits[0].astype(float) / 4)
    assert said.max() < softmax(logits[0]).max() - 0.05  # so that one is not taken for the other
    np.testing.assert_allclose(found.probabilities, said, atol=1e-6)
    scored = found.maps['saliency']
    assert scored.deletion_curve[0] == pytest.approx(said.max(), abs=1e-5)
    assert scored.insertion_curve[-1] == pytest.approx(said.max(), abs=1e-5)


def test_rise_is_of_the_same_probabilities(run, cells, monkeypatch):
    asked = []
    monkeypatch.setattr(methods.gradients, 'rise', lambda apply, *_, **__: asked.append(apply) or Map())
    x, target = jnp.ones((1, 16, 16, 3)), jnp.zeros(1, int)
    for temperature in (1.0, 4.0):
        methods.METHODS['rise'].function(
            run.model, run.variables, x, target, methods.Options('', 1, False, temperature)
        )
    plain, divided = (apply(run.variables, x) for apply in asked)
    np.testing.assert_allclose(divided, plain / 4, rtol=1e-6)


class Map:
    map = jnp.zeros((1, 2, 2))


def test_summary_says_calibrated_probabilities_of_the_worst_cells_and_of_images(run, cells, logits):
    said = softmax(logits.astype(float) / 4, 1)
    own = said[np.arange(8), cells.labels]
    raw = softmax(logits, 1)[np.arange(8), cells.labels]
    _, _, names, chances = summary._worst(run, cells, np.arange(8), 1)
    order = np.argsort(raw)[: summary.WORST_CELLS]
    assert names == [cells.names[place] for place in order]
    np.testing.assert_allclose(chances, own[order], atol=1e-6)
    _, labels, _, chances = summary._asked(run, [picture(cells, 5)])
    assert (labels[0], chances[0]) == (said[5].argmax(), pytest.approx(said[5].max(), abs=1e-5))


def test_it_is_said(run):
    assert calibrated.note(KNOWN).startswith('Probabilities are calibrated, as alljax predict gives them: logits are '
                                             'divided by 4.00.')  # fmt: skip
    assert calibrated.note(None) == ''
    assert calibrated.divided(run.model.apply, 1.0) is run.model.apply
