import jax
import jax.numpy as jnp
import numpy as np
from helpers import variables_of

from alljax import models


def relative(ours, theirs):
    return float(jnp.abs(ours - theirs).max() / jnp.abs(theirs).max())


def test_the_paper_s_network_has_the_size_it_should():
    model = models.create('alexnet', 4)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0)))['params']
    size = lambda tree: sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tree))  # noqa: E731
    old = {name: tree for name, tree in shapes.items() if name != 'head'}
    assert size(old) == 61_100_840 - (4096 + 1) * 1000  # torchvision's, without its last layer
    assert shapes['head']['hidden']['kernel'].shape == (4096, 1024)
    assert shapes['head']['logits']['kernel'].shape == (1024, 4)
    assert model.input.size == 227


def test_apply_is_a_pure_function_of_variables_and_image():
    model = models.create('alexnet', 3, width=0.05, head=8, size=64, platform='gpu')
    variables = variables_of(model.init)
    image = jnp.asarray(np.random.default_rng(1).normal(size=(2, 64, 64, 3)), jnp.float32)
    logits = model.apply(variables, image)
    assert logits.shape == (2, 3)
    np.testing.assert_array_equal(logits, model.apply(variables, image))
    dropped = [model.apply(variables, image, train=True, rngs={'dropout': jax.random.key(key)}) for key in (0, 0, 1)]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    assert not np.array_equal(dropped[0], dropped[2])


def test_both_convolutions_give_one_network():
    fast, plain = (models.create('alexnet', 4, width=0.1, platform=platform) for platform in ('cpu', 'gpu'))
    variables = variables_of(fast.init)
    image = jnp.asarray(np.random.default_rng(1).normal(size=(2, 227, 227, 3)), jnp.float32)
    assert relative(*jax.jit(lambda *given: [model.apply(*given) for model in (fast, plain)])(variables, image)) < 1e-5


def test_without_dense_layers_one_layer_tells_the_mean_of_the_last_map():
    options = {'width': 0.05, 'head': 0, 'size': 64, 'dense': False}
    model, (body, head) = models.create('alexnet', 3, **options), models.cut('alexnet', 3, **options)
    variables = variables_of(model.init)
    assert set(variables['params']) == {'conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'head'}
    image = jnp.asarray(np.random.default_rng(1).normal(size=(2, 64, 64, 3)), jnp.float32)
    features = body.apply(variables, image)
    assert features.shape == (2, variables['params']['conv5']['bias'].size)
    assert relative(head.apply(variables, features), model.apply(variables, image)) < 1e-5
