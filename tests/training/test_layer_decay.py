import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from alljax import models
from alljax.errors import UserError
from alljax.models import Input, Model
from alljax.models.trees import flatten
from alljax.training.layer_decay import decayed

# Depth of each module at the top, counted from the new layers. Of ViT these are timm's (`group_matcher`): embeddings
# 13, twelve blocks, the last norm with the last block.
DEPTHS = {
    'alexnet': {'conv1': 7, 'conv2': 6, 'conv3': 5, 'conv4': 4, 'conv5': 3, 'fc6': 2, 'fc7': 1, 'head': 0},
    'vit_b_32': {
        **dict.fromkeys(('class_token', 'position', 'patches'), 13), **{f'block{n}': 12 - n for n in range(12)},
        'norm': 1, 'head': 0,
    },
    'resnet18': {
        'conv1': 9, 'bn1': 9, 'layer1_0': 8, 'layer1_1': 7, 'layer2_0': 6, 'layer2_1': 5, 'layer3_0': 4, 'layer3_1': 3,
        'layer4_0': 2, 'layer4_1': 1, 'head': 0,
    },
}  # fmt: skip


def checked(model, depths, decay=0.5):
    variables = jax.eval_shape(model.init, jax.random.key(0))
    factors = {name: 20.0 if name.startswith('head/') else 1.0 for name in flatten(variables['params'])}
    found = decayed(factors, model, variables, decay)
    expected = {name: factor * decay ** depths[name.partition('/')[0]] for name, factor in factors.items()}
    assert found == pytest.approx(expected)
    assert decayed(factors, model, variables, 1.0) == factors


@pytest.mark.parametrize('name', DEPTHS)
def test_the_rate_falls_from_layer_to_layer_toward_the_image(name):
    checked(models.create(name, 3, width=0.1, head=4, size=64, platform='gpu'), DEPTHS[name])


class Own(nn.Module):
    """Layers that are called in another order than their names have."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.LayerNorm(name='before')(x)
        for name in ('z', 'a'):
            x = nn.Dense(4, name=name)(x)
        return nn.Dense(3, name='head')(x.mean((1, 2)))


def test_a_user_s_network_is_taken_in_the_order_of_its_calls():
    module = Own()
    model = Model('own', lambda key: module.init(key, jnp.zeros((1, 8, 8, 3))), module.apply, Input(8))
    checked(model, {'before': 3, 'z': 2, 'a': 1, 'head': 0})


def test_a_network_without_linen_layers_is_told():
    model = Model('plain', lambda key: {}, lambda variables, image, **_: image.mean((1, 2)), Input(8))
    with pytest.raises(UserError, match=r'layer_decay is 0.5, but the order of the layers of plain is unknown'):
        decayed({'a': 1.0}, model, {'params': {'a': jnp.zeros(1)}}, 0.5)
