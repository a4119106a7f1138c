"""Heat maps of a run's test cells, of a network so small that they can be computed by hand."""

import io
from dataclasses import replace

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_cells, plan_of, variables_of
from PIL import Image

from alljax.data.split import Split
from alljax.evaluation import heat_maps as drawing
from alljax.models import Input, Model
from alljax.models.head import Linear
from alljax.models.layers import batch_norm
from alljax.runs import experiment, heat_maps, map_layer, network_kind, results, transduction
from alljax.runs.network import TrainedNetwork
from alljax.runs.run_cells import RunCells
from alljax.storage import heat_map_file
from alljax.storage.card import Card
from alljax.training import inference
from configs import common

CLASSES = ('class0', 'class1', 'class2')


class Small(nn.Module):
    """Two convolutions, the last with a rectifier after it, and a mean over positions before the logits."""

    normalized: bool = False

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.Conv(4, (5, 5), 2, name='stem')(x))
        x = batch_norm(train)('norm')(x) if self.normalized else x
        return Linear(3, name='head')(nn.relu(nn.Conv(5, (3, 3), 2, name='body')(x)))


def trained(**options):
    module = Small(**options)
    variables = variables_of(lambda key: module.init(key, jnp.zeros((1, 32, 32, 3))), 3)
    card = Card(CLASSES, input=Input(32), model={'name': 'small'})
    return TrainedNetwork(Model('small', module.init, module.apply, Input(32)), variables, card)


@pytest.fixture(scope='module')
def run():
    return trained()


@pytest.fixture(scope='module')
def cells():
    return make_cells(np.arange(20) % 3, groups=np.arange(20) // 5)


@pytest.fixture(scope='module')
def output():
    return results.TestOutput({'model': {}}, np.random.default_rng(0).normal(size=(20, 3)), {})


def by_hand(variables, images, wanted, normalized=False):
    """The rectified sum of the last map's channels, weighted by what each adds to the class's logit on the mean."""
    x = inference.prepared(jnp.asarray(images), Input(32))
    module = Small(normalized)
    _, seen = module.apply(variables, x, capture_intermediates=True)
    maps = np.maximum(seen['intermediates']['body']['__call__'][0], 0)
    weights = np.asarray(variables['params']['head']['logits']['kernel'])[:, wanted].T
    return np.maximum(np.einsum('nrcf,nf->nrc', maps, weights * (maps > 0).mean((1, 2))) / 64, 0)


def test_map_is_where_the_logit_of_the_class_comes_from(run, cells):
    index, wanted = np.array([7, 0, 19]), np.array([2, 0, 1])
    found = heat_maps.maps_of(run, map_layer.last_map_layer(run.model, run.variables), cells, index, wanted)
    assert found.shape == (3, 8, 8)
    np.testing.assert_allclose(found, by_hand(run.variables, cells.images[index], wanted), rtol=1e-4, atol=1e-6)
    assert (found > 0).any((1, 2)).all()


def test_output_has_maps_of_the_chosen_cells_and_of_the_predicted_class(run, cells, output):
    found = heat_maps.of_test(run, output, cells)
    assert found.found['heat_maps'] == {
        'method': 'Grad-CAM', 'layer': 'body', 'in_words': 'layer body, 8 × 8 positions, 5 channels'
    }  # fmt: skip
    assert list(found.heat_maps) == [cells.names[place] for place in drawing.chosen(cells.labels, softmax(output))]
    place = 4
    expected = by_hand(run.variables, cells.images[[place]], output.logits.argmax(1)[[place]])
    assert found.heat_maps[cells.names[place]] == drawing.small(cells.images[place], expected[0])
    assert (found.logits is output.logits, output.found) == (True, {'model': {}})


def softmax(output):
    return inference.probabilities(output.logits, 'the model')


def test_cell_of_a_transductive_run_has_the_statistics_of_its_slide(cells):
    run = trained(normalized=True)
    run = run._replace(card=replace(run.card, transductive='slide'))
    index, wanted = np.array([12, 1]), np.array([0, 1])
    found = heat_maps.maps_of(run, map_layer.last_map_layer(run.model, run.variables), cells, index, wanted)
    sets = transduction.sets_of(cells, 'slide')
    own = list(transduction.variables_by_set(run.model, run.variables, cells, sets))
    for row, place in enumerate(index):
        expected = by_hand(own[place // 5], cells.images[[place]], wanted[[row]], normalized=True)
        np.testing.assert_allclose(found[row], expected[0], rtol=1e-4, atol=1e-6)


class Pair(nn.Module):
    """A layer that gives its output and its mean."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(2, (3, 3), name='inner')(x)
        return x, x.mean()


class WithPair(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return Linear(3, name='head')(Pair(name='pair')(x)[0])


def test_of_a_layer_that_gives_several_arrays_the_first_is_the_map():
    module = WithPair()
    model = Model('with a pair', module.init, module.apply, Input(8))
    variables = variables_of(lambda key: module.init(key, jnp.zeros((1, 8, 8, 3))))
    assert map_layer.shape_at(model, variables, 'pair') == (1, 8, 8, 2)
    assert map_layer.last_map_layer(model, variables) == ('pair', (1, 8, 8, 2))


def test_it_lowers_for_cuda(run, cells):
    network = heat_maps.WatchedNetwork(run.model.apply, 'body', run.model.input)
    traced = heat_maps.activation_maps.trace(network, run.variables, jnp.asarray(cells.images[:2]), jnp.zeros(2, int))
    assert 'stablehlo.convolution' in traced.lower(lowering_platforms=('cuda',)).as_text()


@pytest.mark.parametrize(
    ('card', 'model', 'reason'),
    [
        (Card(CLASSES, system={}), None, 'a classical system has no layers to look into'),
        (Card(CLASSES, members=('a', 'b')), None,
         'an ensemble averages several models, each of which may look elsewhere'),
        (Card(CLASSES, model={'name': 'mine'}), Model('mine', None, lambda variables, x: x, Input(32)),
         'mine has no layer with a map of positions'),
    ],
)  # fmt: skip
def test_a_model_without_a_map_says_why(cells, output, card, model, reason):
    found = heat_maps.of_test(TrainedNetwork(model, {}, card), output, cells)
    assert (found.found['heat_maps'], dict(found.heat_maps)) == ({'none': reason}, {})


def test_a_config_turns_them_off(run, cells, output, tmp_path):
    plan = plan_of(common.get_config())
    parts = Split(np.arange(0), np.arange(0), np.arange(20), 'random')
    kind = network_kind.NETWORK._replace(score=lambda *_: output)
    found = experiment._tested(kind, run, plan._replace(heat_maps=False), RunCells(cells, cells, parts, None), tmp_path)
    assert found.found['heat_maps'] == {'none': 'config.report.heat_maps was off'}
    assert not found.heat_maps


def test_all_mistakes_and_some_right_cells_of_each_class_are_chosen(monkeypatch):
    monkeypatch.setattr(drawing, 'RIGHT', 3)
    confidence = np.linspace(0.6, 0.95, 12)
    predicted = np.array([0, 1] * 6)
    probabilities = np.where(np.eye(2)[predicted] == 1, confidence[:, None], 1 - confidence[:, None])
    labels = predicted.copy()
    labels[[1, 4]] = 0, 1
    assert drawing.chosen(labels, probabilities).tolist() == [4, 1, 10, 6, 0, 11, 7, 3]
    monkeypatch.setattr(drawing, 'MISTAKES', 1)
    assert drawing.chosen(labels, probabilities).tolist() == [4, 10, 6, 0, 11, 7, 3]
    assert drawing.chosen(np.ones(1, int), np.array([[0.2, 0.8]])).tolist() == [0]


def test_small_map_lies_over_the_gray_cell():
    cell = np.full((128, 128, 3), (200, 100, 150), np.uint8)
    found = np.zeros((4, 4))
    found[0, 3] = 5
    picture = np.asarray(Image.open(io.BytesIO(drawing.small(cell, found))), int)
    assert picture.shape == (64, 64, 3)
    for place, color in (((4, 60), (253, 231, 37)), ((60, 4), (68, 1, 84))):  # yellow and violet of viridis
        assert np.abs(picture[place] - (0.35 * 150 + 0.65 * np.array(color))).max() < 12


def test_file_keeps_the_maps_and_a_damaged_one_counts_as_none(tmp_path):
    maps = {'</script>.png': b'\xff\xd8', 'b.png': b'x'}
    heat_map_file.write(tmp_path, maps)
    assert heat_map_file.read(tmp_path) == maps
    for text in ('{"a": 1}', '{"a": "!"}', '[]', 'no JSON'):
        (tmp_path / heat_map_file.FILE).write_text(text)
        assert heat_map_file.read(tmp_path) == {}
    heat_map_file.write(tmp_path, {})
    assert not list(tmp_path.iterdir())
