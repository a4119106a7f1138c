"""One network of each family at a tiny width: what all have in common. Their values are checked in tests/parity."""

import inspect
from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import traced_once, variables_of

from alljax import gradients, models
from alljax.errors import UserError
from alljax.gradients import factored_gradients
from alljax.gradients.intermediates import with_layers
from alljax.models.batch_statistics import use_running_statistics
from alljax.models.group_norm import use_group_normalization
from alljax.models.layers import batch_norm
from alljax.models.trees import flatten
from alljax.training import inference, learning_rate_factors
from alljax.training.new_statistics import make_estimate, with_statistics_of
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step
from configs import common

QUICK = ('alexnet_bvlc', 'mobilenet_v3_small', 'vit_b_32')
OTHERS = (
    'alexnet', 'resnet18', 'squeezenet1_1', 'vgg11', 'vgg11_bn', 'resnext50_32x4d', 'densenet121', 'googlenet',
    'inception_v3', 'mobilenet_v2', 'efficientnet_b0', 'efficientnet_v2_s', 'efficientnet_lite0', 'convnext_tiny',
    'convnextv2_nano', 'dinov2_reg4_vit_s_14', 'swinv2_tiny_window8_256',
)  # fmt: skip
NORMS = ('batch', 'group')
RECTIFIERS = {'relu', 'relu6', 'silu', 'gelu', 'hard_silu', 'hard_swish'}


@cache
def small(name, classes=3, **options):
    size = models.MODELS[name].input.size if name.startswith('alexnet') else 96
    given = {'width': 0.1, 'head': 8, 'size': size, 'platform': 'gpu'} | shallow(name) | options
    return models.create(name, classes, **given)


def shallow(name):
    """Options by which each stage has one block or two, with and without a stride: all kinds, and soon traced."""
    known = inspect.signature(models.MODELS[name].module).parameters
    (option,) = {'stages', 'blocks'} & set(known) or (None,)
    if option is None or name == 'mobilenet_v3_small':  # whose blocks differ
        return {}
    if isinstance(counts := known[option].default, int):
        return {option: 2}
    most = [1 + place % 2 for place in range(len(counts))]
    return {option: tuple(
        count._replace(blocks=min(count.blocks, limit)) if hasattr(count, 'blocks') else min(count, limit)
        for count, limit in zip(counts, most, strict=True)
    )}  # fmt: skip


@cache  # tracing takes longer than all that is asked of the shapes
@traced_once
def shapes(model):
    return jax.eval_shape(model.init, jax.random.key(0))


@cache
def program(model, like=None):
    """What a network calls, whose variables may have the shapes of another's, and the shape that it gives."""
    jaxpr, output = jax.make_jaxpr(model.apply, return_shape=True)(shapes(like or model), image_of(model))
    return set(functions(jaxpr)), output.shape


def functions(jaxpr):
    """The names of the functions that a program calls."""
    for equation in getattr(jaxpr, 'jaxpr', jaxpr).eqns:
        if 'name' in equation.params:
            yield equation.params['name']
        for part in equation.params.values():
            if hasattr(getattr(part, 'jaxpr', part), 'eqns'):
                yield from functions(part)


@cache
def training_step(model):
    """The state before a step of a network that learns in whole, and the traced step."""
    names = list(flatten(shapes(model)['params']))
    setup = TrainingSetup(model, optax.sgd(0.1), lambda x, _: x / jnp.float32(255), names, jnp.ones(3), 0)
    state = jax.eval_shape(lambda variables: initial_state(setup, variables), shapes(model))
    cells = jax.ShapeDtypeStruct((4, model.input.size, model.input.size, 3), jnp.uint8)
    index = jax.ShapeDtypeStruct((4,), jnp.int32)
    return state, make_step(setup).trace(state, Batch(cells, index, index))


def image_of(model, count=2):
    return jax.ShapeDtypeStruct((count, model.input.size, model.input.size, 3), jnp.float32)


@pytest.fixture(scope='module', params=[*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def name(request):
    return request.param


def test_it_gives_logits_and_keeps_batch_statistics(name):
    model = small(name)
    assert program(model)[1] == (2, 3)
    before, step = training_step(model)
    after, _ = step.out_info
    assert set(before.variables) == set(shapes(model))
    assert jax.tree.structure(after) == jax.tree.structure(before)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, before)


def test_it_takes_the_paper_s_head_its_own_or_none(name):
    place = 'head/logits'
    paper, own = (flatten(shapes(model)['params']) for model in (small(name), small(name, head=0)))
    assert paper['head/hidden/kernel'].shape[1] == 8
    assert paper['head/logits/kernel'].shape == (8, 3)
    assert own[f'{place}/kernel'].shape[-1] == own[f'{place}/bias'].shape[0] == 3
    assert 'head/hidden/kernel' not in own
    factors = learning_rate_factors.factors(list(paper), common.get_config().optimizer.factors, '(?!head/).*')
    assert {place for place, factor in factors.items() if factor} == {p for p in paper if p.startswith('head/')}
    trunk = small(name, 0)
    assert not [leaf for leaf in flatten(shapes(trunk)['params']) if leaf.startswith('head/')]
    assert traced_once(jax.eval_shape)(trunk.apply, shapes(trunk), image_of(trunk)).ndim == 2


def test_its_rectifier_can_be_replaced(name):
    model = small(name)
    assert RECTIFIERS & program(model)[0]
    left = RECTIFIERS & program(small(name, act=jax.nn.softplus), model)[0]
    assert left <= (
        {'relu6'} if name.startswith('mobilenet_v3') else set()
    )  # jax.nn.hard_sigmoid, a gate, is made of it


def test_every_layer_has_features(name):
    model = small(name)
    variables = shapes(model)
    with jax.disable_jit():  # soonest traced
        known = gradients.layer_names(model, variables, image_of(model))
        layers = dict.fromkeys((known[0], known[len(known) // 2], known[-1]))
        _, outputs = jax.eval_shape(with_layers(model.apply, layers), variables, image_of(model))
    assert known[-1] == 'head/logits' or 'head' in known
    assert {layer: output.shape[0] for layer, output in outputs.items()} == dict.fromkeys(layers, 2)


def test_its_training_step_lowers_for_cuda(name):
    training_step(small(name))[1].lower(lowering_platforms=('cuda',))


class Normalized(nn.Module):
    """Two convolutions with batch normalizations."""

    @nn.compact
    def __call__(self, x, train=False):
        for name in ('early', 'late'):
            x = nn.Conv(4, (3, 3), 2, name=f'{name}_conv')(x)
            x = nn.relu(batch_norm(train)(f'{name}_bn')(x))
        return nn.Dense(3, name='head')(x.mean((1, 2)))


def normalized():
    """That network, its variables, and six cells."""
    module = Normalized()
    model = models.Model(
        'normalized', lambda key: module.init(key, jnp.zeros((1, 16, 16, 3))), module.apply, models.Input(16)
    )
    cells = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    return model, variables_of(model.init), jnp.asarray(cells)


def one_step(model, variables, cells, names, chosen):
    setup = TrainingSetup(model, optax.sgd(0.1), lambda x, _: x / jnp.float32(255), names, jnp.ones(3), 0)
    state = initial_state(setup, jax.tree.map(jnp.copy, variables))
    return make_step(setup)(state, Batch(cells, jnp.arange(6) % 3, jnp.asarray(chosen)))


def test_frozen_batch_normalizations_keep_and_use_their_statistics():
    model, variables, cells = normalized()
    variables = jax.tree.map(lambda leaf: leaf + 0.5, variables)
    names = [name for name in flatten(variables['params']) if name.startswith(('late', 'head'))]
    state, metrics = one_step(model, variables, cells, names, [0, 1, 2, 3])
    old, new = flatten(variables['batch_stats']), flatten(state.variables['batch_stats'])
    for place, leaf in old.items():
        assert np.array_equal(leaf, new[place]) == place.startswith('early'), place
    with use_running_statistics({'early_bn'}):
        logits, _ = model.apply(variables, cells[:4] / jnp.float32(255), train=True, mutable=['batch_stats'])
    used = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(4) % 3).mean()
    assert float(metrics.loss) == pytest.approx(float(used), rel=1e-5)
    moving, _ = model.apply(variables, cells[:4] / jnp.float32(255), train=True, mutable=['batch_stats'])
    assert not np.allclose(logits, moving)


def test_statistics_are_estimated_from_images_layer_by_layer():
    model, variables, cells = normalized()
    variables = {**variables, 'batch_stats': jax.tree.map(lambda leaf: leaf + 0.5, variables['batch_stats'])}
    estimate, found = make_estimate(model), []
    for chunk in (4, 6):  # filled up, and whole
        found.append(with_statistics_of(estimate, variables, np.asarray(cells[:4]), chunk)['batch_stats'])
    image, share = inference.prepared(cells[:4], model.input), 4 / (4 + 8)
    params, stats = variables['params'], variables['batch_stats']
    for name in ('early', 'late'):  # by NumPy, but for the convolution
        convolution = nn.Conv(4, (3, 3), 2)
        x = np.asarray(convolution.apply({'params': params[f'{name}_conv']}, image))
        mean = share * x.mean((0, 1, 2)) + (1 - share) * stats[f'{name}_bn']['mean']
        variance = share * x.var((0, 1, 2)) + (1 - share) * stats[f'{name}_bn']['var']
        for one in found:
            np.testing.assert_allclose(one[f'{name}_bn']['mean'], mean, atol=1e-5)
            np.testing.assert_allclose(one[f'{name}_bn']['var'], variance, atol=1e-5)
        image = jnp.maximum((x - mean) / np.sqrt(variance + 1e-5), 0)
    assert with_statistics_of(estimate, variables, np.asarray(cells[:1])) is variables
    parts = [with_statistics_of(estimate, variables, np.asarray(cells[s]), 4) for s in (np.s_[::2], np.s_[1::2])]
    both = with_statistics_of(estimate, variables, np.asarray(cells), 3)['batch_stats']['early_bn']['mean']
    old, drawn = stats['early_bn']['mean'], [part['batch_stats']['early_bn']['mean'] for part in parts]
    own = [(mean - (1 - 3 / 11) * old) / (3 / 11) for mean in drawn]  # of each half by itself
    np.testing.assert_allclose(both, 6 / 14 * (own[0] + own[1]) / 2 + 8 / 14 * old, atol=1e-5)
    arguments = jax.eval_shape(lambda: (variables, cells[:4], jnp.ones(4, bool), jnp.float32(0.5)))
    estimate.trace(*arguments).lower(lowering_platforms=('cuda',))


def test_group_normalization_takes_the_place_of_batch_normalization():
    x = np.random.default_rng(0).normal(2, 3, (2, 5, 5, 64)).astype(np.float32)
    plain, scale, bias = nn.BatchNorm(use_running_average=True), np.linspace(1, 2, 64), np.linspace(-1, 1, 64)
    with use_group_normalization():
        found = plain.apply({'params': {'scale': scale, 'bias': bias}}, jnp.asarray(x))
    expected = nn.GroupNorm(32, epsilon=1e-5).apply({'params': {'scale': scale, 'bias': bias}}, x)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    batch, group = (models.create('resnet18', 3, width=0.1, head=4, size=32, platform='gpu', norm=n) for n in NORMS)
    with_statistics = shapes(batch)
    without = jax.eval_shape(group.init, jax.random.key(0))  # whose layers `shapes` would take for those of the other
    assert set(without) == {'params'}
    assert jax.tree.map(jnp.shape, without['params']) == jax.tree.map(jnp.shape, with_statistics['params'])
    assert models.is_linen(group)
    assert models.cut('resnet18', 3, width=0.1, head=4, size=32, norm='group') is not None
    lowered = jax.jit(group.apply).trace(without, image_of(group)).lower(lowering_platforms=('cuda',))
    assert lowered.as_text()


def test_gradients_of_single_images_go_through_group_normalization():
    module, (_, variables, cells) = Normalized(), normalized()
    params, image, label = variables['params'], cells[:2] / jnp.float32(255), jnp.arange(2)

    def loss(params, x, y):
        with use_group_normalization():
            logits = module.apply({'params': params}, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y)

    @jax.jit
    def both(params):
        single = jax.vmap(jax.grad(lambda p, x, y: loss(p, x[None], y[None])[0]), (None, 0, 0))
        found = factored_gradients.per_example(loss, params, image, label)
        norms = {name: factored_gradients.squared_norms(factor) for name, factor in found.items()}
        return norms, single(params, image, label)

    norms, expected = both(params)
    for name, leaf in flatten(expected).items():
        np.testing.assert_allclose(norms[name], (leaf**2).reshape(2, -1).sum(1), rtol=1e-4, err_msg=name)


def test_a_smaller_batch_is_filled_with_its_own_cells():
    """So that batch statistics never are of a cell that is not in the batch, or of one cell many times."""
    model, variables, cells = normalized()
    names = list(flatten(variables['params']))
    whole, first = one_step(model, variables, cells, names, [2, 5])
    filled, second = one_step(model, variables, cells, names, [2, 5, -1, -1])
    assert float(first.loss) == pytest.approx(float(second.loss), rel=1e-5)
    for a, b in zip(jax.tree.leaves(whole.variables), jax.tree.leaves(filled.variables), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_unknown_names_and_options_are_told():
    with pytest.raises(UserError, match="there is no network 'resnet51', did you mean 'resnet50'"):
        models.create('resnet51', 2)
    with pytest.raises(UserError, match='resnet18 has no dropout'):
        models.create('resnet18', 2, dropout=0.5)
    assert models.options('resnet18') >= {'width', 'act'}
    assert 'dropout' in models.options('alexnet')


def test_another_size_scales_what_a_photograph_is_resized_to():
    assert models.create('resnet18', 2, size=112).input.resize == 128


class Headed(nn.Module):
    """A convolution."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        return self.head(nn.relu(nn.Conv(4, (5, 5), 4)(x)).mean((1, 2)))


def test_initial_variables_are_drawn_within_another_program_too(monkeypatch):
    monkeypatch.setitem(models.MODELS, 'headed', models.Network(Headed, models.Input(16)))
    model = models.create('headed', 2, head=4)
    drawn, within = model.init(jax.random.key(0)), jax.jit(model.init)(jax.random.key(0))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    assert jax.tree.map(lambda leaf: leaf.shape, drawn) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    for leaf, again in zip(jax.tree.leaves(drawn), jax.tree.leaves(within), strict=True):
        np.testing.assert_allclose(leaf, again, rtol=1e-5, atol=1e-7)
