"""A network by the path of its run or by the name of published weights."""

import jax
import numpy as np
import pytest
from helpers import variables_of

from alljax import models
from alljax.errors import UserError
from alljax.models import Input, NetworkSpec
from alljax.models.trees import flatten
from alljax.runs import initial_variables
from alljax.runs.load import load
from alljax.storage import model_folder
from alljax.storage.card import Card
from alljax.weights import weight_cache


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    spec = NetworkSpec('alexnet', {'head': 8, 'size': 64, 'width': 0.02})
    card = Card(('a', 'b'), spec, Input(64, color='HSV'), data_size=64)
    shapes = jax.eval_shape(spec.create(2).init, jax.random.key(0))
    model_folder.write(folder / 'model', jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes), card)
    return folder


def test_a_run_its_model_folder_and_a_text_give_the_same(run):
    found = [load(what) for what in (run, run / 'model', str(run))]
    for one in found:
        assert one.classes == one.card.classes == ('a', 'b')
        assert one.model.input == Input(64, color='HSV')
        assert one.inputs is None
        jax.tree.map(np.testing.assert_array_equal, one.variables, found[0].variables)
    assert flatten(found[0].variables)['params/head/logits/kernel'].shape == (8, 2)


def test_a_name_gives_published_weights(run, monkeypatch):
    asked = []
    monkeypatch.setattr(weight_cache, 'obtain', lambda *what: asked.append(what) or run)
    assert load('resnet50').classes == load('resnet50:IMAGENET1K_V2').classes == ('a', 'b')
    assert asked == [('resnet50', ''), ('resnet50', 'IMAGENET1K_V2')]


def test_what_is_neither_is_told_with_the_nearest_network(tmp_path):
    with pytest.raises(UserError) as error:
        load('resnet5O')
    for words in ('no such folder', 'no such network with published weights', "did you mean 'resnet50'?"):
        assert words in str(error.value)
    with pytest.raises(UserError, match=r"has no weights 'V9'; it has IMAGENET1K_V"):
        load('resnet50:V9')
    with pytest.raises(UserError, match='holds no model'):
        load(tmp_path)


def test_convolutions_alone_are_taken_from_a_whole_network(tmp_path):
    options = {'head': 0, 'size': 64, 'width': 0.05}
    whole = models.create('alexnet', 2, **options)
    variables = variables_of(whole.init, 1)
    card = Card(('a', 'b'), models.NetworkSpec('alexnet', options), whole.input)
    model_folder.write(tmp_path / 'model', variables, card)
    model = models.create('alexnet', 3, dense=False, **options)
    found, _ = initial_variables.start_from(tmp_path, model, ('a', 'b', 'c'), jax.random.key(0))
    assert set(found['params']) == {'conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'head'}
    assert (found['params']['conv5']['kernel'] == variables['params']['conv5']['kernel']).all()
