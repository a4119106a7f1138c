"""Class activation maps and attention of a small ViT against timm's, in double precision."""

import importlib.util
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('pytorch_grad_cam', reason="grad-cam is not installed: pip install -e '.[parity]'")
if importlib.util.find_spec('timm') is None:
    pytest.skip("timm is not installed: pip install -e '.[parity]'", allow_module_level=True)
import peers
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from alljax import gradients
from alljax.models.head import Linear
from alljax.models.vit import ViT
from alljax.weights.rules.dino_vit import rules
from alljax.weights.rules.rule import match_tensors

pytestmark = pytest.mark.slow

TARGET = np.array([1, 4])
SIDE, BLOCKS, HEADS, CHANNELS = 4, 2, 3, 8
MODEL = ViT(Linear(5), patch=7, blocks=BLOCKS, heads=HEADS, channels=CHANNELS, act=lambda x: nn.gelu(x, False))
CAMS = {
    'gradcam': pytorch_grad_cam.GradCAM, 'gradcam++': pytorch_grad_cam.GradCAMPlusPlus,
    'layercam': pytorch_grad_cam.LayerCAM, 'hirescam': pytorch_grad_cam.HiResCAM,
}  # fmt: skip


@pytest.fixture(scope='module')
def net():
    import timm

    made = timm.models.vision_transformer.VisionTransformer(
        img_size=7 * SIDE, patch_size=7, embed_dim=HEADS * CHANNELS, depth=BLOCKS, num_heads=HEADS, num_classes=5
    )
    for block in made.blocks:
        block.attn.fused_attn = False  # or its matrix is nowhere
    return peers.shake(made.eval()).double()


@pytest.fixture(scope='module')
def variables(net):
    source = {key: leaf.numpy() for key, leaf in net.state_dict().items()}
    tree = {}
    for key, place, transform in match_tensors(source, rules(SIDE), []):
        *folders, leaf = place.split('/')
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[leaf] = transform(source[key])
    return tree


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).normal(size=(2, 7 * SIDE, 7 * SIDE, 3))


def attention_of(net, image):
    """The matrices of timm's network with their gradients, and its logits."""
    matrices = []
    hooks = [block.attn.attn_drop.register_forward_hook(lambda _, __, output: matrices.append(output))
             for block in net.blocks]  # fmt: skip
    logits = net(peers.to_nchw(image))
    for hook in hooks:
        hook.remove()
    slopes = torch.autograd.grad(logits[range(2), TARGET].sum(), matrices)
    return [part.detach().numpy() for part in matrices], [slope.numpy() for slope in slopes], logits.detach().numpy()


def test_the_network_and_its_attention_are_timm_s(net, variables, image):
    matrices, _, logits = attention_of(net, image)
    with jax.enable_x64(True):
        found = gradients.attention_weights(MODEL, variables, image)
        np.testing.assert_allclose(jax.jit(MODEL.apply)(variables, jnp.asarray(image)), logits, rtol=1e-9)
    for ours, theirs in zip(found, matrices, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_rollout_and_relevance_are_those_of_a_plain_loop(net, variables, image):
    """As in the published code: jacobgil/vit-explain (rollout) and hila-chefer/Transformer-MM-Explainability."""
    matrices, slopes, _ = attention_of(net, image)
    tokens = SIDE**2 + 1
    for row in range(2):
        rollout, relevance = np.eye(tokens), np.eye(tokens)
        for matrix, slope in zip(matrices, slopes, strict=True):
            mixed = (matrix[row].mean(0) + np.eye(tokens)) / 2
            rollout = mixed / mixed.sum(-1, keepdims=True) @ rollout
            relevance = relevance + np.maximum(matrix[row] * slope[row], 0).mean(0) @ relevance
        with jax.enable_x64(True):
            found = [function(MODEL, variables, image, TARGET).map[row]
                     for function in (gradients.attention_rollout, gradients.gradient_attention)]  # fmt: skip
        for ours, theirs in zip(found, (rollout, relevance), strict=True):
            np.testing.assert_allclose(ours, theirs[0, 1:].reshape(SIDE, SIDE), atol=1e-9)


@pytest.mark.parametrize('kind', CAMS)
def test_maps_of_tokens_are_those_of_pytorch_grad_cam(net, variables, image, kind):
    module = net.blocks[-1].norm1
    targets = [ClassifierOutputTarget(target) for target in TARGET]

    def on_grid(tokens):
        return tokens[:, 1:].reshape(2, SIDE, SIDE, -1).permute(0, 3, 1, 2)

    cam = CAMS[kind](net, [module], reshape_transform=on_grid)
    x = peers.to_nchw(image)
    cam(x, targets)
    hooks = cam.activations_and_grads
    arrays = hooks.activations[0].detach().numpy(), hooks.gradients[0].detach().numpy()
    theirs = np.maximum(cam.get_cam_image(x, module, targets, *arrays, eigen_smooth=False), 0)
    hooks.release()
    with jax.enable_x64(True):
        ours = gradients.grad_cam(MODEL, variables, image, TARGET, layer='block1/norm1', kind=kind).map
    np.testing.assert_allclose(ours, theirs, atol=1e-8 * theirs.max())
    assert theirs.any()


def test_deep_lift_misses_nothing_of_it(variables, image):
    """captum knows no rule for its products: layer norms, attention, and a GELU written out."""
    with jax.enable_x64(True):
        found = gradients.deep_lift(MODEL, variables, image, TARGET, baseline=0.25)
        logits = [jax.jit(MODEL.apply)(variables, jnp.asarray(part))[jnp.arange(2), TARGET]
                  for part in (image, np.full_like(image, 0.25))]  # fmt: skip
    np.testing.assert_allclose(np.asarray(found.map).sum((1, 2, 3)), np.subtract(*map(np.asarray, logits)), rtol=1e-8)
    assert not math.isclose(*logits[0])
