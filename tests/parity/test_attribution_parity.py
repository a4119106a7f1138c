"""Attributions against captum and pytorch-grad-cam, on torchvision's networks with random weights and biases."""

import copy
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

from alljax import models
from alljax.gradients import attribution, faithfulness, maps, occlusion, rectifiers
from alljax.weights import convert as conversion

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings('ignore:Setting backward hooks on ReLU', 'ignore:Setting forward, backward hooks'),
]

TARGET = np.array([3, 777])
NETWORKS = {'alexnet': 227, 'resnet18': 112}  # pixels
LAYERS = {
    'alexnet': {'conv5': 'features.10'},
    'resnet18': {'layer3_1': 'layer3.1', 'layer4_1': 'layer4.1'},
}
CAMS = {
    'gradcam': pytorch_grad_cam.GradCAM,
    'gradcam++': pytorch_grad_cam.GradCAMPlusPlus,
    'layercam': pytorch_grad_cam.LayerCAM,
}
BASELINES = {'zero': 0.0, 'gray': 0.25}


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


@pytest.fixture(scope='module', params=NETWORKS)
def made(request):
    """A name, variables of ours, and torchvision's network that they come from."""
    torch.manual_seed(0)
    theirs = peers.shake(peers.build(request.param))
    source = {key: leaf.numpy() for key, leaf in theirs.state_dict().items()}
    variables, _ = conversion.convert(request.param, source)
    yield request.param, variables, theirs
    jax.clear_caches()


@pytest.fixture(
    scope='module',
    params=[(np.float32, 'cpu'), (np.float64, 'cpu'), (np.float64, 'gpu')],
    ids=['single', 'double', 'double, direct'],
)
def pair(request, made):
    """Both networks in one precision, ours with the convolutions of one platform."""
    dtype, platform = request.param
    name, variables, theirs = made
    size = NETWORKS[name]
    image = np.random.default_rng(0).normal(size=(len(TARGET), size, size, 3)).astype(dtype)
    model = models.create(name, 1000, head=0, size=size, platform=platform)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), variables)
    theirs = untangle(copy.deepcopy(theirs)).to(getattr(torch, np.dtype(dtype).name))
    return Pair(name, model, variables, theirs, image)


def agree(ours, theirs, double, what, tolerance=1e-8, flips=0.0):
    """Equal but for rounding, and in single precision but for `flips` of the values, where a rectifier's sign turns."""
    assert ours.shape == theirs.shape
    far = np.abs(ours - theirs) / np.abs(theirs).max()
    cos = (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs)
    import sys
    print('FIG', what, 'x64' if double else 'f32', f'max {far.max():.2e} flips {(far > 1e-3).sum()}/{far.size} 1-cos {1-cos:.1e}', file=sys.stderr)


def test_the_gradient_to_the_image_is_captum_s(pair):
    target = torch.tensor(TARGET)
    theirs = captum.attr.Saliency(pair.theirs).attribute(pair.x, target, abs=False)
    agree(pair.ours(attribution.saliency), peers.to_nhwc(theirs.detach()), pair.double, f'{pair.name} saliency')
    theirs = captum.attr.InputXGradient(pair.theirs).attribute(pair.x, target)
    ours = pair.ours(attribution.saliency, times_input=True)
    agree(ours, peers.to_nhwc(theirs.detach()), pair.double, f'{pair.name} ixg')


@pytest.mark.parametrize('baseline', BASELINES.values(), ids=BASELINES)
@pytest.mark.parametrize('rule', ['gausslegendre', 'midpoint'])
def test_integrated_gradients_and_their_gap_are_captum_s(pair, rule, baseline):
    method = {'midpoint': 'riemann_middle'}.get(rule, rule)
    theirs, delta = captum.attr.IntegratedGradients(pair.theirs).attribute(
        pair.x, baseline, torch.tensor(TARGET), n_steps=8, method=method, return_convergence_delta=True
    )
    ours, gap = pair.ours(attribution.integrated, baseline=baseline, steps=8, rule=rule)
    agree(ours, peers.to_nhwc(theirs.detach()), pair.double, f'{pair.name} ig {rule} {baseline}')
    agree(gap, delta.detach().numpy(), pair.double, f'{pair.name} gap {rule} {baseline} {gap} {delta}')


@pytest.mark.parametrize('rule', ['guided', 'deconv'])
def test_changed_rectifiers_are_captum_s(pair, rule):
    method = {'guided': captum.attr.GuidedBackprop, 'deconv': captum.attr.Deconvolution}[rule]
    theirs = method(pair.theirs).attribute(pair.x, torch.tensor(TARGET))
    agree(pair.ours(rectifiers.guided, rule=rule), peers.to_nhwc(theirs.detach()), pair.double, f'{pair.name} {rule}')


def test_occlusion_is_captum_s(pair):
    window, stride = NETWORKS[pair.name] * 2 // 7, NETWORKS[pair.name] // 5
    theirs = captum.attr.Occlusion(pair.theirs).attribute(
        pair.x, (3, window, window), (3, stride, stride), 0.25, torch.tensor(TARGET)
    )
    ours = pair.ours(occlusion.occlusion, window=window, stride=stride, baseline=0.25)
    theirs = peers.to_nhwc(theirs.detach())
    assert (theirs == theirs[..., :1]).all()  # a window hides all channels at once
    agree(ours, theirs[..., 0], pair.double, f'{pair.name} occlusion')


@pytest.mark.parametrize('kind', CAMS)
def test_maps_of_layers_are_those_of_pytorch_grad_cam(pair, kind):
    for layer, name in LAYERS[pair.name].items():
        module = pair.theirs.get_submodule(name)
        targets = [ClassifierOutputTarget(target) for target in TARGET]
        cam = CAMS[kind](pair.theirs, [module])
        cam(pair.x, targets)
        activations, gradients = cam.activations_and_grads.activations[0], cam.activations_and_grads.gradients[0]
        arrays = activations.detach().numpy(), gradients.detach().numpy()
        theirs = np.maximum(cam.get_cam_image(pair.x, module, targets, *arrays, eigen_smooth=False), 0)
        cam.activations_and_grads.release()
        ours = pair.ours(maps.cam, layer=layer, kind=kind)
        agree(ours, theirs, pair.double, f'{pair.name} {kind} {layer}')


@pytest.mark.parametrize('inserts', [False, True], ids=['deletion', 'insertion'])
def test_curves_are_those_of_a_plain_loop(pair, inserts):
    steps, baseline = 4, 0.25
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
            expected[row, step] = torch.softmax(logits[0], 0)[target]
    function = faithfulness.insertion if inserts else faithfulness.deletion
    area, curve = pair.ours(function, marks, steps=steps, baseline=baseline)
    agree(curve, expected, pair.double, f'{pair.name} curve {inserts}')
    agree(area, np.trapezoid(expected, dx=1 / steps), pair.double, f'{pair.name} area {inserts}')
