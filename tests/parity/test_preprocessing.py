"""What is done to an image before a network with published weights sees it, against torchvision's transforms."""

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
import torchvision
from PIL import Image

from alljax import models
from alljax.data import augment, image
from alljax.weights.published import all_published

pytestmark = pytest.mark.slow
ROWS = [row for row in all_published() if row.address.startswith('https://download.pytorch.org')]
RECOMMENDED = list({row.network: row for row in reversed(ROWS)}.values())  # the first row of each network
RESCALED = ('googlenet', 'inception_v3')  # torchvision rescales their input once more, inside of the network


def transform_of(row):
    return torchvision.models.get_weight(
        f'{torchvision.models.get_model_weights(row.network).__name__}.{row.weights}'
    ).transforms()


@pytest.fixture(scope='module')
def photo():
    """An oblong picture with edges and gradients."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 45, 3), np.uint8)).resize((901, 603), Image.Resampling.NEAREST)
    return np.asarray(coarse) // 2 + (np.add.outer(np.arange(603), np.arange(901)) % 128)[..., None].astype(np.uint8)


def test_published_csv_is_torchvision_s():
    for row in ROWS:
        weights = torchvision.models.get_model_weights(row.network)[row.weights]
        assert weights.url == row.address
        assert f'-{row.hash.removeprefix("sha256:")}.' in row.file
        assert round(weights.meta['_file_size'], 1) == row.megabytes
        theirs = weights.transforms()
        assert ([row.size], [row.resize]) == (theirs.crop_size, theirs.resize_size)
        assert row.interpolation == theirs.interpolation.value
        if row.network not in RESCALED:  # there it counts their auxiliary classifiers
            assert weights.meta['num_params'] == row.parameters
    for row in RECOMMENDED:
        assert torchvision.models.get_model_weights(row.network).DEFAULT.name == row.weights


@pytest.mark.parametrize('row', RECOMMENDED, ids=lambda row: row.network)
def test_input_is_that_of_the_weights(row):
    form, theirs = models.MODELS[row.network].input, transform_of(row)
    if row.network != 'alexnet':  # the paper's 227
        assert [form.size] == theirs.crop_size
    assert [form.resize] == theirs.resize_size
    assert form.interpolation == theirs.interpolation.value
    if row.network in RESCALED:  # x·deviation/0.5 + (mean − 0.5)/0.5 of a normalized x is (value − 0.5)/0.5
        assert form.mean == form.deviation == (0.5, 0.5, 0.5)
    else:
        assert (list(form.mean), list(form.deviation)) == (theirs.mean, theirs.std)


def test_photographs_become_torchvision_s(photo):
    seen = {}
    for row in ROWS:
        theirs = transform_of(row)
        seen[str(theirs)] = theirs
    assert len(seen) > 10
    for theirs in seen.values():
        (size,), (resize,), way = theirs.crop_size, theirs.resize_size, theirs.interpolation.value
        for picture in (photo, photo.transpose(1, 0, 2).copy()):
            cut = image.photograph(picture, size, resize, way)
            ours = augment.normalize(jnp.float32(cut)[None], tuple(theirs.mean), tuple(theirs.std))[0]
            expected = theirs(Image.fromarray(picture)).permute(1, 2, 0).numpy()
            assert ours.shape == expected.shape
            assert (np.abs(ours - expected) * np.array(theirs.std)).max() < 2 / 255
