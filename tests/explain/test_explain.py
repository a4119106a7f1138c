"""What a network looks at, of a tiny network that was never trained: files, numbers, and every mistake at once."""

import csv
import re
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import save_untrained_run
from PIL import Image

from alljax import explain, gradients, models, predict
from alljax.commands import explain as command
from alljax.data import image, image_files, synthetic
from alljax.data.synthetic import ground_truth
from alljax.errors import UserError
from alljax.explain import images, masks, measurements, methods, overlays
from alljax.models.head import Linear
from alljax.models.vit import ViT
from alljax.runs import map_layer, network
from alljax.storage.card import Card

SIZE = 96


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return save_untrained_run(tmp_path_factory.mktemp('run'), SIZE)


@pytest.fixture(scope='module')
def cells(drawn):
    return sorted((drawn / 'ALL_IDB2' / 'img').iterdir())


@pytest.fixture(scope='module')
def page(run, cells, tmp_path_factory):
    """A call with two good files and a bad one."""
    folder = tmp_path_factory.mktemp('page')
    bad = folder / 'text.png'
    bad.write_text('no image')
    out = folder / 'out'
    code = command.main([*map(str, (run, cells[0], cells[-1], bad)), '--to', str(out)])
    return code, out, bad


@pytest.mark.slow
def test_a_page_pictures_and_scores_are_written_and_a_bad_file_is_a_line(page, cells):
    code, out, bad = page
    assert code == 1
    pictures = {path.name for path in out.glob('*.png')} - {'overview.png'}
    assert (out / 'overview.png').is_file()
    assert pictures == {f'{number:03}-{cell.stem}-{method}.png' for number, cell in ((1, cells[0]), (2, cells[-1]))
                        for method in methods.DEFAULT}  # fmt: skip
    assert Image.open(out / min(pictures)).size == (SIZE, SIZE)
    rows = list(csv.DictReader((out / 'scores.csv').open()))
    assert [row['method'] for row in rows] == [*methods.DEFAULT, *methods.DEFAULT, '']
    assert rows[-1]['file'] == str(bad)
    assert 'no image' in rows[-1]['error']
    for row in rows[:-1]:
        assert row['target'] == row['prediction']
        assert all(0 <= float(row[key]) <= 1 for key in row if key.endswith(('_auc', '_cell', '_nucleus')) and row[key])
        assert float(row['area_of_nucleus']) < float(row['area_of_cell'])


@pytest.mark.slow
def test_the_page_loads_nothing_and_says_that_the_run_is_synthetic(page):
    text = (page[1] / 'index.html').read_text()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert 'class="banner synthetic"' in text
    assert not re.search(r'<script|https?://|<link|@import', text)
    assert all(address.startswith('data:') for address in re.findall(r'src="([^"]*)"', text))
    for words in ('Grad-CAM', 'SmoothGrad', 'blurred copy', 'by chance', 'text.png', 'Im001_1.tif'):
        assert words in text


@pytest.mark.slow
def test_probabilities_are_those_of_predict(page, run, cells):
    rows = {row['file']: row for row in csv.DictReader((page[1] / 'scores.csv').open()) if row['method']}
    model = network.load(run)
    for row in predict.predict(predict.load(run), [cells[0], cells[-1]]):
        found = rows[row.file]
        assert model.classes[row.probabilities.argmax()] == found['prediction']
        assert float(found['probability']) == pytest.approx(row.probabilities.max(), abs=1e-5)


@cache
@cache
def shapes(name, **options):
    """A network and the shapes of its variables."""
    model = models.create(name, 2, **options)
    return model, jax.eval_shape(model.init, jax.random.key(0))


def test_the_layer_of_a_network_without_a_map_is_none():
    def found(name, **options):
        layer = map_layer.last_map_layer(*shapes(name, **options))
        return layer and layer.name

    assert found('alexnet', width=0.05) == 'conv5'
    assert found('resnet18') == 'layer4_1'
    assert found('vit_b_16', blocks=1) is None


@pytest.mark.slow
def test_a_transformer_is_explained_by_its_tokens_before_the_last_attention_and_by_attention():
    net = ViT(Linear(2), patch=14, blocks=2, heads=2, channels=4)
    model = models.Model('small', net.init, net.apply, models.Input(28))
    forms = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 28, 28, 3), np.float32))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), forms)
    assert map_layer.last_token_layer(model, variables) == 'block1/norm1'
    names = methods.default_methods(model, variables)
    assert names == ['gradcam', 'attention', 'integrated', 'smooth']
    run = network.TrainedNetwork(model, variables, Card(('a', 'b')))
    assert explain._possible(run, names, 'block1/norm1') == (names, [])
    x = jax.random.normal(jax.random.key(0), (2, 28, 28, 3))
    options = methods.Options('block1/norm1', 2)
    for name in ('gradcam', 'attention'):
        found = np.asarray(methods.METHODS[name].function(model, variables, x, jnp.array([0, 1]), options))
        assert found.shape == (2, 28, 28)
        assert np.isfinite(found).all()
        assert found.any((1, 2)).all()


def test_attention_is_left_out_of_a_network_without():
    run = network.TrainedNetwork(*shapes('alexnet', width=0.05), Card(('a', 'b')))
    kept, notes = explain._possible(run, ['rollout', 'saliency'], 'conv5')
    assert kept == ['saliency']
    assert 'rollout: left out, since alexnet has no attention' in notes[0]


def test_cams_are_left_out_where_there_is_no_map():
    run = network.TrainedNetwork(*shapes('vit_b_16'), Card(('a', 'b')))
    kept, notes = explain._possible(run, list(methods.DEFAULT), '')
    assert kept == ['integrated', 'smooth']
    assert 'gradcam: left out, since vit_b_16 has no map' in notes[0]
    assert explain._possible(run, ['gradcam', 'saliency'], '')[0] == ['saliency']
    assert explain._possible(run, ['gradcam', 'layercam'], '')[0] == []


@pytest.mark.parametrize(
    ('asked', 'kept'),
    [(['gradcam', 'saliency'], ['saliency']), (['saliency', 'layercam', 'rise'], ['saliency', 'rise']),
     (['gradcam', 'layercam'], None)],
)  # fmt: skip
def test_what_can_be_had_is_made_and_only_nothing_at_all_is_refused(run, cells, tmp_path, monkeypatch, asked, kept):
    monkeypatch.setattr(explain, 'last_map_layer', lambda model, variables: None)  # as of a ViT
    request = explain.Request(run, cells[:1], asked, 1, folder=tmp_path / 'new')
    if kept is None:
        with pytest.raises(UserError, match=r'gradcam, layercam: cannot be had, since .* has no map'):
            explain.check(request)
        return
    checked = explain.check(request)
    assert checked.methods == kept
    assert len(checked.notes) == 1
    assert re.match(r'(gradcam|layercam): left out, since ', checked.notes[0])


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_logits_that_are_no_numbers_name_the_picture(run, cells, value):
    loaded = network.load(run)
    head = loaded.variables['params']['head']
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, value), head)
    loaded = loaded._replace(variables={'params': loaded.variables['params'] | {'head': broken}})
    picture = image_files.read(cells[0], loaded.card.preparation)
    with pytest.raises(UserError, match=rf"{cells[0].name}: the network's logits hold NaN or infinity, so there is no"):
        next(measurements.explain(loaded, [picture], ['saliency'], methods.Options('', 1)))


def test_a_map_with_nan_is_an_error_and_never_scored(run, cells, monkeypatch):
    def half(model, variables, x, target, options):
        return x.mean(3).at[-1, 0, 0].set(np.nan)

    monkeypatch.setitem(methods.METHODS, 'half', methods.Method(half, 'Half', True, 'nothing.'))
    loaded = network.load(run)
    pictures = [image_files.read(cell, loaded.card.preparation) for cell in cells[:2]]
    with pytest.raises(UserError) as caught:
        next(measurements.explain(loaded, pictures, ['half'], methods.Options('', 2)))
    assert f'{cells[1]}: the values of the map of half hold NaN' in str(caught.value)
    assert str(cells[0]) not in str(caught.value)


@pytest.mark.slow
def test_the_cams_see_a_convolution_s_map_as_its_rectifier_leaves_it(run):
    loaded = network.load(run)
    assert map_layer.goes_on_rectified(loaded.model, loaded.variables, 'conv5')
    assert not map_layer.goes_on_rectified(loaded.model, loaded.variables, 'head/logits')
    x = jax.random.normal(jax.random.key(0), (1, SIZE, SIZE, 3))
    rectifying = map_layer.rectifying(loaded.model.apply, 'conv5')
    seen = gradients.layer_output(rectifying, loaded.variables, x, 'conv5')
    plain = gradients.layer_output(loaded.model, loaded.variables, x, 'conv5')
    assert plain.min() < 0
    np.testing.assert_allclose(seen, np.maximum(plain, 0), atol=1e-6)


@pytest.mark.slow
def test_masks_follow_every_kind_of_repeat_and_only_pixels_that_agree_are_trusted(tmp_path, run):
    synthetic.write(tmp_path / 'set', 40, 3, repeats=8)
    model = network.load(run)
    root = tmp_path / 'set' / 'ALL_IDB2'
    drawn = ground_truth._set(root)
    assert len(drawn.repeats) == 16
    for name in drawn.repeats:
        found, note = masks.of(root / 'img' / name, model)
        assert (found is not None, note) == (True, ''), name
        rgb = np.asarray(images.batch(model, [image_files.read(root / 'img' / name, model.card.preparation)]).rgb)[0]
        inside, outside = (rgb[part].mean() for part in (found.nucleus, ~(found.nucleus | found.cytoplasm)))
        assert inside < outside - 20, name  # nuclei are dark
    pixels = image.read(root / 'img' / 'Im001_1.tif').pixels.copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(root / 'img' / 'Im001_1.tif')
    found, note = masks.of(root / 'img' / 'Im001_1.tif', model)
    assert found is None
    assert 'seed' in note


def test_masks_are_at_the_place_of_the_cell(cells, run):
    model = network.load(run)
    found, _ = masks.of(cells[0], model)
    assert found.nucleus.shape == (SIZE, SIZE)
    assert not (found.nucleus & found.cytoplasm).any()
    whole = synthetic.draw(synthetic.plan(80, 0)[0].kind, synthetic.slide(0, 1), np.random.default_rng([0, 2, 1]))
    assert found.nucleus.mean() == pytest.approx(whole.nucleus.mean(), rel=0.03)
    assert found.regions['cell'].mean() == pytest.approx((whole.nucleus | whole.cytoplasm).mean(), rel=0.03)


def test_a_broken_marker_is_a_note(tmp_path, cells, run):
    (tmp_path / 'synthetic.json').write_text('{"seed": 0')
    (tmp_path / cells[0].name).write_bytes(cells[0].read_bytes())
    found, note = masks.of(tmp_path / cells[0].name, network.load(run))
    assert found is None
    assert 'synthetic.json cannot be used' in note


def test_a_map_that_is_zero_everywhere_ranks_nothing():
    curve = gradients.Curve(jax.numpy.array([0.5]), jax.numpy.zeros((1, 21)))
    maps = np.zeros((1, 8, 8), np.float32)
    scored = measurements._scored_map((maps, curve, curve), 0, {'cell': np.eye(8, dtype=bool)})
    assert np.isnan([scored.deletion_auc, scored.insertion_auc, scored.regions['cell'].mass]).all()
    assert scored.regions['cell'].area == 1 / 8


def test_overlays_tell_for_from_against():
    found = np.zeros((8, 8), np.float32)
    found[0, 0], found[7, 7] = 1, -1
    shown = overlays.overlay(np.full((8, 8, 3), 128, np.uint8), found, True).astype(int)
    assert shown[0, 0, 0] > shown[0, 0, 2] + 40
    assert shown[7, 7, 2] > shown[7, 7, 0] + 20
    assert np.ptp(shown[3, 3]) <= 2


@pytest.mark.slow
def test_every_method_gives_maps_at_the_size_of_the_input(run, cells, tmp_path):
    out = tmp_path / 'out'
    assert command.main([str(run), str(cells[0]), '--to', str(out), '--methods', 'all', '--target', 'normal']) == 0
    rows = list(csv.DictReader((out / 'scores.csv').open()))
    of_transformers = {name for name, method in methods.METHODS.items() if method.needs == 'attention'}
    assert of_transformers == {'attention', 'rollout'}
    assert [row['method'] for row in rows] == [name for name in methods.METHODS if name not in of_transformers]
    assert {row['target'] for row in rows} == {'normal'}
