"""Networks with timm's names against timm's: sizes, conversion, logits, features, inner layers and gradients."""

import functools
import importlib.util

import jax
import numpy as np
import pytest

pytest.importorskip('torch', reason="torch is not installed: pip install -e '.[parity]'")
if importlib.util.find_spec('timm') is None:
    pytest.skip("timm is not installed: pip install -e '.[parity]'", allow_module_level=True)
import checks
import peers
import torch

from alljax import models
from alljax.models import convnext, swin_v2
from alljax.weights import convert as conversion
from alljax.weights import tensor_files
from alljax.weights.rules.dino_vit import resample_positions
from alljax.weights.wrappings import Selection, unwrap

SMALL, BASE = 'vit_small_patch14_dinov2', 'vit_base_patch14_dinov2'
DINO = {'dinov2_vit_s_14': SMALL, 'dinov2_vit_b_14': BASE, 'dinobloom_s': SMALL, 'dinobloom_b': BASE}
REGISTERS = {
    'dinov2_reg4_vit_s_14': 'vit_small_patch14_reg4_dinov2', 'dinov2_reg4_vit_b_14': 'vit_base_patch14_reg4_dinov2',
}  # fmt: skip
TIMM = DINO | {name: name for name in (*convnext.V2_NETWORKS, *swin_v2.NETWORKS)}  # ours → timm's

# The smallest of each family, and three layers inside of it: ours, timm's.
SMALLEST = {
    'dinov2_vit_s_14': {'patches': 'patch_embed.proj', 'block5/expand': 'blocks.5.mlp.fc1', 'block11': 'blocks.11'},
    'convnextv2_nano': {
        'stem': 'stem', 'stage1_0/response_norm': 'stages.0.blocks.0.mlp.grn', 'stage3_4': 'stages.2.blocks.4',
    },
    'swinv2_tiny_window8_256': {'stem': 'patch_embed.proj'},  # timm's other layers put windows or channels elsewhere
}  # fmt: skip

# The same with fewer layers, of the same kinds, whose gradients are compared: timm's options, ours.
FEWER = {
    'dinov2_vit_s_14': ({'depth': 2}, {'blocks': 2}),
    'convnextv2_nano': ({'depths': (1, 1, 2, 1)}, {'stages': (1, 1, 2, 1)}),
    'swinv2_tiny_window8_256': ({'depths': (1, 2, 1, 2)}, {'stages': (1, 2, 1, 2)}),
}

pytestmark = pytest.mark.slow  # timm alone takes seconds to import


def build(name, classes=1000, **options):
    """timm's network for the images of ours, with random weights, in evaluation mode."""
    import timm

    size = {'img_size': 224} if name in DINO or name in REGISTERS else {}
    return timm.create_model((DINO | REGISTERS | TIMM)[name], num_classes=classes, **size, **options).eval()


def exact_distances(net):
    """Has Swin V2's table of distances in the precision of its other numbers; timm rounds it to float32."""

    def refresh(module, _):
        steps = 8 * torch.arange(-7, 8, dtype=module.relative_coords_table.dtype) / 7
        steps = steps.sign() * torch.log2(steps.abs() + 1) / 3
        module.relative_coords_table = torch.stack(torch.meshgrid(steps, steps, indexing='ij'), -1)[None]

    for module in net.modules():
        if hasattr(module, 'relative_coords_table'):
            own = module.relative_coords_table
            refresh(module, ())
            assert torch.allclose(own, module.relative_coords_table)
            module.register_forward_pre_hook(refresh)
    return net


def image_of(name, count=2):
    size = models.MODELS[name].input.size
    return np.random.default_rng(0).normal(size=(count, size, size, 3))


def smaller(name, image):
    """The first image, or a part of it for a network that takes any."""
    side = 64 if name.startswith('convnext') else image.shape[1]
    return image[:1, :side, :side]


@pytest.mark.parametrize('name', TIMM)
def test_sizes_and_rules_fit_timm_s_network(name):
    with torch.device('meta'):
        net = build(name)
    checks.sizes_and_rules(name, net)


@pytest.fixture(scope='module', params=SMALLEST)
def pair(request, tmp_path_factory):
    """A network of ours with the weights of timm's, converted from its file, and timm's."""
    name = request.param
    theirs = exact_distances(peers.shake(build(name)))
    path = tmp_path_factory.mktemp('files') / f'{name}.pth'
    torch.save(theirs.state_dict(), path)
    variables, classes = conversion.convert(name, tensor_files.read(path))
    assert classes == 1000
    yield name, variables, theirs, image_of(name)
    jax.clear_caches()


def test_logits_and_inner_layers_are_timm_s(pair):
    checks.logits_and_layers(*pair, SMALLEST[pair[0]])


def test_logits_and_inner_layers_in_double_precision_are_timm_s(pair):
    name, variables, theirs, image = pair
    checks.logits_and_layers(name, variables, theirs, smaller(name, image), SMALLEST[name], np.float64, 'gpu')


@pytest.mark.parametrize('name', FEWER)
def test_gradients_of_forms_of_fewer_layers_are_timm_s(name):
    options, ours = FEWER[name]
    theirs = exact_distances(peers.shake(build(name, **options)))
    variables = peers.converted(name, theirs)
    checks.values_and_gradients(name, variables, theirs, smaller(name, image_of(name)), {}, 'cpu', **ours)


@functools.cache
def features(name):
    """The program of our features, for the files of both publishers."""
    return jax.jit(models.create(name, 0).apply)


@pytest.mark.parametrize('name', ['dinov2_vit_s_14', 'dinov2_reg4_vit_s_14'])
@pytest.mark.parametrize('publisher', [True, False])
def test_features_of_dinov2_s_files_are_timm_s(name, publisher):
    """With the 37×37 positions of the published files, by the publisher's names and by timm's."""
    import timm
    from timm.models.vision_transformer import checkpoint_filter_fn

    with torch.device('meta'):  # its own random weights, which take seconds, are not drawn
        large = timm.create_model((DINO | REGISTERS)[name], num_classes=0)
    large = large.to_empty(device='cpu')
    file = {key: leaf.clone() for key, leaf in peers.shake(large).state_dict().items()}
    if publisher:
        generator, channels = torch.Generator().manual_seed(1), file['cls_token'].shape[-1]
        file['mask_token'] = torch.zeros(1, channels)
        file['pos_embed'] = 0.5 * torch.randn((1, 1 + 37**2, channels), generator=generator)
        if 'reg_token' in file:
            file['register_tokens'] = file.pop('reg_token')
    source = {key: leaf.numpy() for key, leaf in file.items()}
    theirs = build(name, 0)
    theirs.load_state_dict(checkpoint_filter_fn(dict(file), theirs), strict=True)
    variables, classes = conversion.convert(name, unwrap(name, source, Selection(head=False)).tensors, head=False)
    assert classes == 0
    image = image_of(name, 1).astype(np.float32)
    expected, _ = peers.outputs(theirs, image, ())
    found = features(name)(variables, image)
    assert checks.relative(found, expected) < 1e-4


@pytest.mark.parametrize(('old', 'new'), [(37, 16), (16, 37), (16, 18), (16, 16), (37, 7)])
@pytest.mark.parametrize('first', [0, 1])
def test_positions_are_resampled_as_timm_does(old, new, first):
    from timm.layers import resample_abs_pos_embed

    embedding = np.random.default_rng(0).normal(size=(1, old**2 + first, 5)).astype(np.float32)
    expected = resample_abs_pos_embed(torch.tensor(embedding), [new, new], num_prefix_tokens=first).numpy()
    found = resample_positions(new)(embedding)
    assert found.shape == (1, new**2 + 1, 5)
    assert np.abs(found[:, 1 - first :] - expected).max() < 1e-5
    assert first or not found[:, 0].any()
