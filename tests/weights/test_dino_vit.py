"""DINOv2's and DinoBloom's files under their publishers' names, for a network of two narrow blocks."""

from functools import partial

import numpy as np
import pytest
from PIL import Image
from torch_writer import archive, whole

from alljax import models
from alljax.commands.weights import main
from alljax.errors import UserError
from alljax.runs import network
from alljax.weights import weight_cache
from alljax.weights.convert import convert

CHANNELS = 64  # of the one head at width 0.1
BLOCK = {'norm1.weight': (64,), 'norm1.bias': (64,), 'attn.qkv.weight': (192, 64), 'attn.qkv.bias': (192,),
         'attn.proj.weight': (64, 64), 'attn.proj.bias': (64,), 'ls1.gamma': (64,), 'norm2.weight': (64,),
         'norm2.bias': (64,), 'mlp.fc1.weight': (256, 64), 'mlp.fc1.bias': (256,), 'mlp.fc2.weight': (64, 256),
         'mlp.fc2.bias': (64,), 'ls2.gamma': (64,)}  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name in ('dinobloom_s', 'dinov2_reg4_vit_s_14'):
        known = models.MODELS[name]
        monkeypatch.setitem(models.MODELS, name, known._replace(module=partial(known.module, width=0.1, blocks=2)))


def published(side, registers=0, chunk=''):
    """Random tensors under the names of facebookresearch/dinov2 for a grid of `side` by `side` positions."""
    shapes = {
        'cls_token': (1, 1, CHANNELS), 'pos_embed': (1, 1 + side**2, CHANNELS), 'mask_token': (1, CHANNELS),
        **({'register_tokens': (1, registers, CHANNELS)} if registers else {}),
        'patch_embed.proj.weight': (CHANNELS, 3, 14, 14), 'patch_embed.proj.bias': (CHANNELS,),
        **{f'blocks.{chunk}{n}.{key}': shape for n in range(2) for key, shape in BLOCK.items()},
        'norm.weight': (CHANNELS,), 'norm.bias': (CHANNELS,),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def test_dinobloom_s_file_becomes_a_model_that_names_its_sets(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    own = published(16)
    teacher = {f'backbone.{name}': tensor for name, tensor in own.items()}
    teacher |= {'dino_head.mlp.0.weight': np.ones((2, 2), np.float32)}
    content = {name: whole(name, tensor) for name, tensor in teacher.items()}
    path = archive(tmp_path / 'DinoBloom-S.pth', {'teacher': content}, teacher)
    with pytest.raises(UserError, match='it has no last layers of this network; convert it with --without-head'):
        weight_cache.from_file('dinobloom_s', path)
    assert main(['dinobloom_s', '--file', str(path), '--without-head', '--out', str(tmp_path / 'out')]) == 0
    capsys.readouterr()
    run = network.load(tmp_path / 'out')
    assert 'Acevedo' in run.card.trained_on
    params = run.variables['params']
    np.testing.assert_array_equal(params['position'], own['pos_embed'])
    np.testing.assert_array_equal(params['block1']['layer_scale2'], own['blocks.1.ls2.gamma'])
    np.testing.assert_array_equal(params['block0']['attention']['in']['kernel'], own['blocks.0.attn.qkv.weight'].T)
    kernel = own['patch_embed.proj.weight'].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(params['patches']['kernel'], kernel)


def test_a_grid_of_positions_is_resampled_as_pillow_resizes_a_picture():
    own = published(37, registers=4, chunk='0.')
    variables, _ = convert('dinov2_reg4_vit_s_14', own, head=False)
    found = variables['params']['position'][0]
    np.testing.assert_array_equal(found[0], own['pos_embed'][0, 0])
    grid = own['pos_embed'][0, 1:].reshape(37, 37, CHANNELS)
    for channel in (0, CHANNELS - 1):
        expected = np.asarray(Image.fromarray(grid[..., channel]).resize((16, 16), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found[1:, channel].reshape(16, 16), expected, atol=1e-5)
    np.testing.assert_array_equal(variables['params']['registers'], own['register_tokens'])


def test_positions_that_are_no_grid_are_told():
    own = published(16) | {'pos_embed': np.ones((1, 240, CHANNELS), np.float32)}
    with pytest.raises(UserError, match=r'pos_embed has shape \(1, 240, 64\), which becomes \(1, 240, 64\)'):
        convert('dinobloom_s', own, head=False)
