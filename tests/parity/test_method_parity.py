"""More attribution methods against captum and pytorch-grad-cam, on the networks of test_attribution_parity.py."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
pytest.importorskip('captum', reason='captum is not installed')
pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
import captum.attr
import peers
import pytorch_grad_cam
import torch
from captum.attr._core.gradient_shap import InputBaselineXGradient
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from test_attribution_parity import LAYERS, NETWORKS, TARGET, agree, pair_of, pytestmark  # noqa: F401

from alljax import gradients
from alljax.gradients import baseline_attribution, imputed_faithfulness
from alljax.models.layers import max_pool
from alljax.runs import map_layer


@pytest.fixture(scope='module', params=NETWORKS)
def pair(request):
    """Both networks in double precision: each of these takes long to compile, and rounding hides nothing there."""
    yield pair_of(request.param, np.float64)
    jax.clear_caches()


def layer_of(pair):
    """A layer by our name, and torchvision's module."""
    ((name, place),) = LAYERS[pair.name].items()
    return name, pair.theirs.get_submodule(place)


def unpool(values, indices, kernel_size, stride, padding, output_size):
    """torch's max_unpool2d where windows overlap: what several give to one place is added, not written over."""
    flat = torch.zeros(*output_size[:2], output_size[2] * output_size[3], dtype=values.dtype)
    return flat.scatter_add(2, indices.flatten(2), values.flatten(2)).view(*output_size)


@pytest.mark.parametrize('layers', ['rectifier', 'pool', 'rectifier and pool'])
def test_deep_lift_is_captum_s(layers, monkeypatch):
    """Of a small network. Of pools with overlapping windows captum keeps one share; here it is made to add them.

    It misses completeness where a pool follows a rectifier, as in AlexNet and ResNet-18; ours misses nothing.
    """
    monkeypatch.setattr(captum.attr._core.deep_lift.F, 'max_unpool2d', unpool)
    torch.manual_seed(0)
    rectifies, pools = 'rectifier' in layers, 'pool' in layers
    conv, side = torch.nn.Conv2d(3, 4, 3, padding=1), 4 if pools else 10
    last = torch.nn.Linear(4 * side**2, 3)
    parts = [conv, *[torch.nn.ReLU()] * rectifies, *[torch.nn.MaxPool2d(3, 2)] * pools, torch.nn.Flatten(), last]
    net = torch.nn.Sequential(*parts).double()
    x, base = (torch.randn(2, 3, 10, 10, dtype=torch.float64) for _ in range(2))

    def apply(params, x):
        kernel, bias, weights, offset = params
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')) + bias
        x = jax.nn.relu(x) if rectifies else x
        x = max_pool(x, 3, 2) if pools else x
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1) @ weights + offset

    arrays = conv.weight.permute(2, 3, 1, 0), conv.bias, last.weight.T, last.bias
    theirs, delta = captum.attr.DeepLift(net).attribute(x, base, 1, return_convergence_delta=True)
    with jax.enable_x64(True):
        params = [jnp.asarray(part.detach().numpy()) for part in arrays]
        ours = gradients.deep_lift(apply, params, peers.to_nhwc(x), 1, baseline=peers.to_nhwc(base))
    assert np.abs(ours.gap).max() < 1e-12
    if layers == 'rectifier and pool':
        assert np.abs(delta.detach()).max() > 0.1
    else:
        agree(np.asarray(ours.map), peers.to_nhwc(theirs.detach()))


def test_expected_gradients_are_captum_s_at_the_same_points(pair, monkeypatch):
    """captum's own GradientShap is the mean of this over samples, whose baselines and points numpy draws."""
    key, samples = jax.random.key(0), 2
    baselines = np.random.default_rng(5).normal(size=pair.image.shape).astype(pair.image.dtype)
    total = 0
    for sample in range(samples):
        with jax.enable_x64(pair.double):
            drawn = baseline_attribution.draw(jax.random.fold_in(key, sample), jnp.asarray(pair.image), 2)
            which, place = np.asarray(drawn.baseline), np.asarray(drawn.place)
        monkeypatch.setattr(np.random, 'uniform', lambda *_, place=place: place)
        base = peers.to_nchw(baselines[which])
        part = InputBaselineXGradient(pair.theirs).attribute(pair.x, base, torch.tensor(TARGET))
        total = total + peers.to_nhwc(part.detach()) / samples
    ours = pair.ours(gradients.gradient_shap, key=key, baselines=baselines, samples=samples).map
    agree(ours, total)


def test_guided_grad_cam_is_captum_s(pair):
    name, module = layer_of(pair)
    theirs = captum.attr.GuidedGradCam(pair.theirs, module).attribute(
        pair.x, torch.tensor(TARGET), interpolate_mode='bilinear'
    )
    agree(pair.ours(gradients.guided_grad_cam, layer=name).map, peers.to_nhwc(theirs.detach()))


def test_conductance_is_captum_s(pair):
    """In double precision captum's nodes are those of single precision, but at the midpoints of four steps."""
    name, module = layer_of(pair)
    theirs = captum.attr.LayerConductance(pair.theirs, module).attribute(
        pair.x, torch.full_like(pair.x, 0.25), torch.tensor(TARGET), n_steps=3
    )
    ours = pair.ours(gradients.layer_conductance, layer=name, baseline=0.25, steps=3, rule='difference').map
    agree(ours, peers.to_nhwc(theirs.detach()))


def test_conductance_and_attribution_of_a_neuron_are_captum_s(pair):
    name, module = layer_of(pair)
    output = pair.ours(lambda apply, variables, image, _: gradients.layer_output(apply, variables, image, name))
    neuron = tuple(map(int, np.unravel_index(output.min(0).argmax(), output.shape[1:])))  # it is above zero in both
    row, column, channel = neuron
    selector = (channel, row, column)
    theirs = captum.attr.NeuronConductance(pair.theirs, module).attribute(
        pair.x, selector, torch.full_like(pair.x, 0.25), torch.tensor(TARGET), n_steps=4, method='riemann_middle'
    )
    options = {'layer': name, 'baseline': 0.25, 'steps': 4, 'rule': 'midpoint'}
    ours = pair.ours(gradients.neuron_conductance, neuron=neuron, **options).map
    agree(ours, peers.to_nhwc(theirs.detach()))
    theirs = captum.attr.NeuronIntegratedGradients(pair.theirs, module).attribute(
        pair.x, selector, torch.full_like(pair.x, 0.25), n_steps=4, method='riemann_middle'
    )
    with jax.enable_x64(pair.double):
        ours = gradients.neuron_attribution(
            gradients.integrated_gradients, pair.model.apply, pair.variables, pair.image, neuron, **options
        ).map
    agree(np.asarray(ours), peers.to_nhwc(theirs.detach()))


def test_superpixel_ablation_is_captum_s(pair):
    size = pair.image.shape[1]
    parts = np.add.outer(np.arange(size) * 3 // size, 3 * (np.arange(size) * 2 // size))
    theirs = captum.attr.FeatureAblation(pair.theirs).attribute(
        pair.x, 0.25, torch.tensor(TARGET), feature_mask=torch.tensor(parts)[None, None]
    )
    ours = pair.ours(gradients.superpixel_ablation, segments=parts, baseline=0.25).map
    agree(ours, peers.to_nhwc(theirs.detach())[..., 0], double=1e-6)  # captum sums in single precision


@pytest.fixture
def doubled(pair, monkeypatch):
    """pytorch-grad-cam in the precision of its input: it rounds scores to float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if pair.double else torch.float32)
    kind = np.float64 if pair.double else np.float32
    wide = SimpleNamespace(**{**vars(np), 'float32': kind})
    for module in (pytorch_grad_cam.ablation_cam, pytorch_grad_cam.utils.svd_on_activations):
        monkeypatch.setattr(module, 'np', wide)
    upsample = lambda size: torch.nn.Upsample(size=size, mode='bilinear')  # noqa: E731
    monkeypatch.setattr(torch.nn, 'UpsamplingBilinear2d', upsample)  # between centers, not corners, as resize_map does
    yield pair
    torch.set_default_dtype(before)


def their_cam(kind, theirs, module, x, reshape_transform=None):
    """The map of one of pytorch-grad-cam's classes before it is scaled and enlarged."""
    targets = [ClassifierOutputTarget(target) for target in TARGET]
    cam = kind(theirs, [module], reshape_transform=reshape_transform)
    cam.batch_size = 64
    cam(x, targets)
    hooks = cam.activations_and_grads
    arrays = [part[0].detach().numpy() if part else None for part in (hooks.activations, hooks.gradients)]
    found = cam.get_cam_image(x, module, targets, *arrays, eigen_smooth=False)
    cam.activations_and_grads.release()
    return np.maximum(found, 0)


def test_hires_cam_is_that_of_pytorch_grad_cam(pair):
    name, module = layer_of(pair)
    theirs = their_cam(pytorch_grad_cam.HiResCAM, pair.theirs, module, pair.x)
    agree(pair.ours(gradients.grad_cam, layer=name, kind='hirescam').map, theirs)


def test_eigen_cam_is_that_of_pytorch_grad_cam_but_for_the_sign(doubled):
    name, module = layer_of(doubled)
    seen = []
    hook = module.register_forward_hook(lambda _, __, output: seen.append(output.detach().numpy()))
    doubled.theirs(doubled.x)
    hook.remove()
    theirs = pytorch_grad_cam.utils.svd_on_activations.get_2d_projection(seen[0])
    middle = seen[0].mean(1) - seen[0].mean((1, 2, 3))[:, None, None]
    theirs = theirs * np.sign((theirs * middle).sum((1, 2), keepdims=True))
    agree(doubled.ours(gradients.eigen_cam, layer=name).map, np.maximum(theirs, 0))


@pytest.mark.parametrize('pair', ['alexnet'], indirect=True)  # of ResNet-18 each takes minutes
@pytest.mark.parametrize('kind', ['ScoreCAM', 'AblationCAM'])
def test_cams_without_gradients_are_those_of_pytorch_grad_cam(doubled, kind):
    name = 'conv5'
    module = doubled.theirs.get_submodule('features.11')  # its rectifier
    apply = map_layer.rectifying(doubled.model.apply, name)
    function = gradients.score_cam if kind == 'ScoreCAM' else gradients.ablation_cam
    with jax.enable_x64(doubled.double):
        ours = np.asarray(function(apply, doubled.variables, doubled.image, TARGET, layer=name).map)
    theirs = their_cam(getattr(pytorch_grad_cam, kind), doubled.theirs, module, doubled.x.detach())
    agree(ours, theirs.astype(ours.dtype))


def test_pixels_are_filled_in_as_pytorch_grad_cam_does():
    image = np.random.default_rng(0).normal(size=(1, 9, 8, 3))
    gone = np.random.default_rng(1).random((1, 9, 8)) < 0.5
    with jax.enable_x64(True):
        ours = np.asarray(imputed_faithfulness.impute(jnp.asarray(image), jnp.asarray(gone)))
    theirs = NoisyLinearImputer(noise=0.0)(peers.to_nchw(image.astype(np.float32))[0], torch.tensor(~gone[0]).float())
    np.testing.assert_allclose(ours[0], peers.to_nhwc(theirs[None])[0], atol=1e-6)  # which is float32
