"""Attributions against captum and pytorch-grad-cam, on small forms of torchvision's networks with random weights."""

import copy
from functools import reduce
from types import MethodType
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
pytest.importorskip('captum', reason='captum is not installed')
pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
import captum.attr
import peers
import pytorch_grad_cam
import torch
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from alljax import gradients, models

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings('ignore:Setting backward hooks on ReLU', 'ignore:Setting forward, backward hooks'),
]

TARGET = np.array([3, 777])
NETWORKS = {'alexnet': 95, 'resnet18': 48}  # pixels
LAYERS = {
    'alexnet': {'conv5': 'features.10'},
    'resnet18': {'layer3_0': 'layer3.0'},
}
CAMS = {
    'gradcam': pytorch_grad_cam.GradCAM,
    'gradcam++': pytorch_grad_cam.GradCAMPlusPlus,
    'layercam': pytorch_grad_cam.LayerCAM,
}


class Pair(NamedTuple):
    """A network of ours, torchvision's with the same weights, and images, in one precision."""

    name: str
    model: models.Model
    variables: Any
    theirs: torch.nn.Module
    image: np.ndarray

    @property
    def double(self):
        return self.image.dtype == np.float64

    @property
    def x(self):
        return peers.to_nchw(self.image).requires_grad_()

    def ours(self, function, *arguments, **options):
        """What one of our functions gives for this network and these images."""
        with jax.enable_x64(self.double):
            found = function(self.model.apply, self.variables, self.image, TARGET, *arguments, **options)
            return jax.tree.map(np.asarray, found)


def forward(block, x):
    shortcut = x if block.downsample is None else block.downsample(x)
    inner = block.relu(block.bn1(block.conv1(x)))
    return block.last_relu(block.bn2(block.conv2(inner)) + shortcut)


def untangle(net):
    """Rectifiers that write no input over and serve one place each: what hooks on them need."""
    for module in list(net.modules()):
        if isinstance(module, torchvision.models.resnet.BasicBlock):
            module.last_relu = torch.nn.ReLU()
            module.forward = MethodType(forward, module)
    for module in net.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    return net


@pytest.fixture(
    scope='module',
    params=[('alexnet', np.float32), ('alexnet', np.float64), ('resnet18', np.float64)],
    ids=['alexnet-single', 'alexnet-double', 'resnet18-double'],
)
def pair(request):
    """Both networks in one precision."""
    yield pair_of(*request.param)
    jax.clear_caches()


def pair_of(name, dtype):
    """Both networks in one precision, and images."""
    theirs, options = peers.small(name)
    size = NETWORKS[name]
    # of seed 0, AlexNet differs by 2 % of the largest gradient in single precision: a turned sign, it seems
    image = np.random.default_rng(1).normal(size=(len(TARGET), size, size, 3)).astype(dtype)
    model = models.create(name, 1000, head=0, size=size, platform='cpu', **options)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), peers.converted(name, theirs))
    return Pair(name, model, variables, untangle(theirs).to(getattr(torch, np.dtype(dtype).name)), image)


def agree(ours, theirs, *, double=1e-8, single=1e-3, turned=0.0):
    """Equal up to rounding, as a part of the largest value: up to `double` in double precision.

    In single precision a rounding error turns the sign of rectifiers, which shows in single values: at most the share
    `turned` differs by more than 1e-3, and none by more than `single`.
    """
    assert ours.shape == theirs.shape
    far = np.abs(ours - theirs) / np.abs(theirs).max()
    if ours.dtype == np.float64:
        assert far.max() < double
        return
    assert far.max() < single
    assert (far > 1e-3).mean() <= turned
    cosine = (ours * theirs).sum(dtype=np.float64) / np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert cosine > 0.9999


def test_the_gradient_to_the_image_is_captum_s(pair):
    theirs = captum.attr.Saliency(pair.theirs).attribute(pair.x, torch.tensor(TARGET), abs=False)
    agree(pair.ours(gradients.saliency).map, peers.to_nhwc(theirs.detach()))


@pytest.mark.parametrize(('rule', 'baseline'), [('gausslegendre', 0.25), ('midpoint', 0.25)])
def test_integrated_gradients_and_their_gap_are_captum_s(pair, rule, baseline):
    """In single precision a sign that turns at one point of the path shows in all pixels that its rectifier sees.

    In double precision captum's weights are still rounded to single precision, which spares 1/4 alone.
    """
    method = {'midpoint': 'riemann_middle'}.get(rule, rule)
    theirs, delta = captum.attr.IntegratedGradients(pair.theirs).attribute(
        pair.x, baseline, torch.tensor(TARGET), n_steps=4, method=method, return_convergence_delta=True
    )
    theirs = peers.to_nhwc(theirs.detach())
    options = {'baseline': baseline, 'steps': 4, 'rule': rule}
    ours, gap = pair.ours(gradients.integrated_gradients, batch_size=6, **options)  # three steps, and one filled up
    double = 1e-8 if rule == 'midpoint' else 1e-7
    agree(ours, theirs, double=double, single=2e-2, turned=0.03)
    scale = np.abs(theirs).sum((1, 2, 3))
    assert (np.abs(gap - delta.detach().numpy()) / scale).max() < (double if pair.double else 1e-3)
    assert (np.abs(gap) / scale).min() > 1e-5  # four steps leave one


def test_guided_backpropagation_is_captum_s(pair):
    theirs = captum.attr.GuidedBackprop(pair.theirs).attribute(pair.x, torch.tensor(TARGET))
    agree(pair.ours(gradients.guided_backprop).map, peers.to_nhwc(theirs.detach()))


class Pool(torch.nn.Module):
    """A pool that divides its gradient among equal values, as ours; torch's gives all of it to the first."""

    def __init__(self, pool):
        super().__init__()
        self.window, self.stride, self.padding = pool.kernel_size, pool.stride, pool.padding

    def forward(self, x):
        x = torch.nn.functional.pad(x, (self.padding,) * 4, value=-torch.inf)
        for axis in (2, 3):
            x = reduce(torch.maximum, x.unfold(axis, self.window, self.stride).unbind(-1))
        return x


def test_the_deconvolution_rule_is_captum_s_but_for_equal_values_in_pools(pair):
    """Where a pool sees zeros only, from rectifiers, this rule alone passes on what it gives to them."""
    net = copy.deepcopy(pair.theirs)
    for name, module in list(net.named_modules()):
        if isinstance(module, torch.nn.MaxPool2d):
            net.set_submodule(name, Pool(module))
    theirs = captum.attr.Deconvolution(net).attribute(pair.x, torch.tensor(TARGET))
    agree(pair.ours(gradients.guided_backprop, rule='deconv').map, peers.to_nhwc(theirs.detach()))


def test_occlusion_is_captum_s(pair):
    size = NETWORKS[pair.name]
    window, stride = size * 2 // 7, size // 4  # squares overlap, and the last ones are cut off
    theirs = captum.attr.Occlusion(pair.theirs).attribute(
        pair.x, (3, window, window), (3, stride, stride), 0.25, torch.tensor(TARGET)
    )
    theirs = peers.to_nhwc(theirs.detach())
    assert (theirs == theirs[..., :1]).all()  # a square hides all channels at once, and each gets all of the fall
    ours = pair.ours(gradients.occlusion, window=window, stride=stride, baseline=0.25).map
    agree(ours, theirs[..., 0], double=1e-6)  # captum sums in single precision, whatever it is given


@pytest.mark.parametrize('kind', CAMS)
def test_maps_of_layers_are_those_of_pytorch_grad_cam(pair, kind):
    """Grad-CAM++ divides by what may be near zero: in single precision, rounding errors grow there."""
    for layer, name in LAYERS[pair.name].items():
        module = pair.theirs.get_submodule(name)
        targets = [ClassifierOutputTarget(target) for target in TARGET]
        cam = CAMS[kind](pair.theirs, [module])
        cam(pair.x, targets)
        hooks = cam.activations_and_grads
        arrays = hooks.activations[0].detach().numpy(), hooks.gradients[0].detach().numpy()
        theirs = np.maximum(cam.get_cam_image(pair.x, module, targets, *arrays, eigen_smooth=False), 0)
        cam.activations_and_grads.release()
        ours = pair.ours(gradients.grad_cam, layer=layer, kind=kind).map
        agree(ours, theirs, **({'single': 2e-2, 'turned': 0.15} if kind == 'gradcam++' else {}))


@pytest.mark.parametrize('inserts', [False, True], ids=['deletion', 'insertion'])
def test_curves_are_those_of_a_plain_loop(pair, inserts):
    steps, baseline = 4, 0.25
    with torch.no_grad():
        heat = float(pair.theirs(pair.x).std())  # random weights are too sure of themselves: probabilities vanish

    def apply(variables, image):
        return pair.model.apply(variables, image) / heat

    marks = np.random.default_rng(1).normal(size=pair.image.shape).astype(pair.image.dtype)
    expected = np.empty((len(TARGET), steps + 1))
    pixels = pair.image.shape[1] * pair.image.shape[2]
    for row, (image, target) in enumerate(zip(pair.image, TARGET, strict=True)):
        order = np.argsort(-marks[row].sum(-1).ravel(), kind='stable')
        for step in range(steps + 1):
            chosen = order[: round(step * pixels / steps)]
            shown = (np.full_like(image, baseline) if inserts else image).reshape(-1, 3).copy()
            shown[chosen] = image.reshape(-1, 3)[chosen] if inserts else baseline
            with torch.no_grad():
                logits = pair.theirs(peers.to_nchw(shown.reshape(1, *image.shape)))
            expected[row, step] = torch.softmax(logits[0] / heat, 0)[target]
    function = gradients.insertion if inserts else gradients.deletion
    with jax.enable_x64(pair.double):
        area, curve = function(apply, pair.variables, pair.image, TARGET, marks, steps=steps, baseline=baseline)
    tolerance = 1e-10 if pair.double else 1e-5
    np.testing.assert_allclose(curve, expected, rtol=tolerance)
    np.testing.assert_allclose(area, np.trapezoid(expected, dx=1 / steps), rtol=tolerance)
    assert (np.ptp(expected, 1) > 0.1 * expected.max(1)).all()
