"""Every network against torchvision's: sizes, conversion, logits, inner layers and gradients."""

import jax
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
import checks
import peers
import torch
import torchvision

from alljax import models
from alljax.errors import UserError
from alljax.weights import convert as conversion
from alljax.weights import tensor_files

TORCHVISION = sorted(set(models.MODELS) & set(torchvision.models.list_models(module=torchvision.models)))

# The smallest network of each family at its full size, and three layers inside of it: ours, torchvision's.
SMALLEST = {
    'alexnet': {'conv1': 'features.0', 'conv4': 'features.8', 'fc7': 'classifier.4'},
    'vgg11': {'conv1_1': 'features.0', 'conv4_2': 'features.13', 'fc6': 'classifier.0'},
    'vgg11_bn': {'norm1_1': 'features.1', 'norm4_2': 'features.19', 'fc6': 'classifier.0'},
    'resnet18': {'bn1': 'bn1', 'layer2_0': 'layer2.0', 'layer4_1': 'layer4.1'},
    'resnext50_32x4d': {'layer1_2': 'layer1.2', 'layer3_0/conv2': 'layer3.0.conv2', 'layer4_2': 'layer4.2'},
    'squeezenet1_1': {'conv1': 'features.0', 'fire4/expand3x3': 'features.6.expand3x3', 'fire9': 'features.12'},
    'densenet121': {
        'norm0': 'features.norm0',
        'transition1': 'features.transition1',
        'denseblock4_layer9': 'features.denseblock4.denselayer9',
    },
    'googlenet': {
        'conv3/bn': 'conv3.bn',
        'inception3b': 'inception3b',
        'inception4d/branch3_1': 'inception4d.branch3.1',
    },
    'inception_v3': {
        'Conv2d_4a_3x3': 'Conv2d_4a_3x3',
        'Mixed_6a': 'Mixed_6a',
        'Mixed_7b/branch3x3_2b/conv': 'Mixed_7b.branch3x3_2b.conv',
    },
    'mobilenet_v2': {
        'stem/bn': 'features.0.1',
        'block4/depthwise': 'features.4.conv.1',
        'block16': 'features.16',
    },
    'mobilenet_v3_small': {
        'block1/squeeze': 'features.1.block.1',
        'block9/expand/bn': 'features.9.block.0.1',
        'fc': 'classifier.0',
    },
    'mobilenet_v3_large': {
        'block2/depthwise': 'features.2.block.1',
        'block13/squeeze': 'features.13.block.2',
        'last': 'features.16',
    },
    'efficientnet_b0': {
        'stage1_0/squeeze': 'features.1.0.block.1',
        'stage4_1': 'features.4.1',
        'stage6_0/depthwise': 'features.6.0.block.1',
    },
    'efficientnet_v2_s': {
        'stage1_1/fused': 'features.1.1.block.0',
        'stage3_0': 'features.3.0',
        'stage5_8/project': 'features.5.8.block.3',
    },
    'convnext_tiny': {
        'stem': 'features.0',
        'downsample3/norm': 'features.4.0',
        'stage3_4': 'features.5.4',
    },
    'vit_b_32': {
        'patches': 'conv_proj',
        'block5/expand': 'encoder.layers.encoder_layer_5.mlp.0',
        'block11': 'encoder.layers.encoder_layer_11',
    },
}

# Second ones of their family, whose other network is compared in single precision and by its gradients: their values
# are compared in double precision, with the convolutions of a processor.
SECOND = ('vgg11', 'resnext50_32x4d', 'mobilenet_v3_large', 'efficientnet_v2_s')

# Whose gradients are compared in a form of fewer layers, of the same kinds.
FEWER = ('convnext_tiny', 'densenet121', 'vit_b_32')

# Networks with convolutions of single channels, whose gradients XLA's own ones take minutes for on a processor.
DEPTHWISE = ('mobilenet_v2', 'mobilenet_v3_small', 'efficientnet_b0', 'convnext_tiny')

# Of any size: double precision takes 96 pixels. The layers' own shapes, and so which form a convolution takes, are
# those of the single precision's test.
SMALL = (*SECOND, *DEPTHWISE, 'densenet121', 'googlenet', 'inception_v3', 'resnet18', 'squeezenet1_1', 'vgg11_bn')

# Of so many branches or layers that all of XLA's optimization takes half a minute; in single precision they go without.
LONG = ('densenet121', 'googlenet', 'inception_v3')

# Of so many residuals that what goes through them grows by 10^6, too much for float32, unless batch norm has seen it.
GROWING = ('efficientnet_v2_s',)


def settle(net, image):
    """Gives every batch norm of torchvision's the statistics of this image."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train().momentum = 1.0
    with torch.no_grad():
        net(peers.to_nchw(image.astype(np.float32)))
    net.eval()


@pytest.mark.slow
def test_every_torchvision_network_of_these_families_is_here():
    families = (
        'alexnet',
        'vgg',
        'resnet',
        'resnext',
        'wide_resnet',
        'squeezenet',
        'densenet',
        'googlenet',
        'inception',
        'mobilenet',
        'efficientnet',
        'convnext',
        'vit',
    )
    assert [
        name for name in torchvision.models.list_models(module=torchvision.models) if name.startswith(families)
    ] == TORCHVISION


@pytest.mark.slow
@pytest.mark.parametrize('name', TORCHVISION)
def test_sizes_and_rules_fit_torchvision_s_network(name):
    with torch.device('meta'):
        net = peers.build(name)
    checks.sizes_and_rules(name, net)


@pytest.fixture(scope='module', params=SMALLEST)
def pair(request, tmp_path_factory):
    """A network of ours with the weights of torchvision's, converted from its file, and torchvision's."""
    name = request.param
    theirs = peers.shaken(name)
    size = models.MODELS[name].input.size
    image = np.random.default_rng(0).normal(size=(2, size, size, 3))
    if name in GROWING:
        settle(theirs, image)
    path = tmp_path_factory.mktemp('files') / f'{name}.pth'
    torch.save(theirs.state_dict(), path)
    variables, classes = conversion.convert(name, tensor_files.read(path))
    path.unlink()
    assert classes == 1000
    yield name, variables, theirs, image
    jax.clear_caches()  # the programs of all networks together take ten gigabytes


@pytest.mark.slow
def test_logits_and_inner_layers_are_torchvision_s(pair):
    name, variables, theirs, image = pair
    if name == 'alexnet':
        pytest.skip('test_alexnet_parity.py compares its logits in single precision')
    kind = np.float32
    if name in SECOND:
        image, kind = image[:1, :96, :96], np.float64
    checks.logits_and_layers(name, variables, theirs, image, SMALLEST[name], kind, optimized=name not in LONG)


@pytest.mark.slow
def test_values_and_gradients_in_double_precision_are_torchvision_s(pair):
    name, variables, theirs, image = pair
    if name in SECOND:
        pytest.skip('its family has another network whose gradients are compared')
    side = 96 if name in SMALL else image.shape[1]
    given = name, variables, theirs, image[:1, :side, :side], SMALLEST[name]
    gradients_elsewhere = ('alexnet', *FEWER)  # those of AlexNet in test_alexnet_parity.py
    if name not in gradients_elsewhere:
        checks.values_and_gradients(*given, 'cpu' if name in DEPTHWISE else 'gpu')
    if name == 'convnext_tiny':  # of whose convolutions XLA's own take long
        given = name, variables, theirs, image[:1, :64, :64], SMALLEST[name]
    if name in (*gradients_elsewhere, *DEPTHWISE):
        checks.logits_and_layers(*given, np.float64, 'gpu')


@pytest.mark.slow
@pytest.mark.parametrize('name', FEWER)
def test_gradients_of_forms_of_fewer_layers_are_torchvision_s(name):
    theirs, options = peers.small(name)
    image = np.random.default_rng(0).normal(size=(1, 96, 96, 3))
    checks.values_and_gradients(name, peers.converted(name, theirs), theirs, image, {}, 'cpu', **options)


@pytest.mark.slow
def test_a_file_of_another_network_is_told_in_whole():
    with torch.device('meta'):
        shapes = {key: tuple(leaf.shape) for key, leaf in peers.build('resnet34').state_dict().items()}
    source = {key: np.zeros((1,) * len(shape), np.float32) for key, shape in shapes.items()} | {'stranger': np.zeros(1)}
    with pytest.raises(UserError) as caught:
        conversion.convert('resnet18', source)
    said = str(caught.value)
    for text in ('no rule takes stranger', 'has no place for layer1.2', 'conv1.weight has shape'):
        assert text in said, said
