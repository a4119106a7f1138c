"""Curvature of small forms of AlexNet, ResNet-18 and ViT against torch and curvlinops, with random weights and biases.

In double precision.
"""

import importlib.util
import re
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
pytest.importorskip('curvlinops', reason='curvlinops is not installed')
if importlib.util.find_spec('timm') is None:
    pytest.skip("timm is not installed: pip install -e '.[parity]'", allow_module_level=True)
import curvlinops
import flax.linen as nn
import peers
import torch

from alljax import gradients, models
from alljax.gradients.named_parameters import named
from alljax.models.head import Linear
from alljax.models.trees import unflatten
from alljax.models.vit import ViT
from alljax.weights.rules import table
from alljax.weights.rules.dino_vit import rules
from alljax.weights.rules.rule import match_tensors

pytestmark = pytest.mark.slow

CLASSES, DAMPING = 3, 0.01
LABELS = np.array([2, 0])
SIZES = {'alexnet': 95, 'resnet18': 48, 'vit': 28}
FACTORED = {  # layers whose eigenvectors are found soon enough: fc6 has a matrix of 2305 rows
    'alexnet': r'features\.[03]\.', 'resnet18': r'(conv1|layer1\..*conv\d|fc)\.',
    'vit': r'(patch_embed.proj|blocks.*(qkv|proj|fc\d)|head)\.',
}  # fmt: skip


@pytest.fixture(scope='module', params=SIZES)
def pair(request):
    """Both networks, two images and their labels, and a direction in the space of their parameters."""
    name = request.param
    net, options = (timm_vit(), {}) if name == 'vit' else peers.small(name, CLASSES)
    net = net.double()
    for module in net.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    image = np.random.default_rng(1).normal(size=(len(LABELS), SIZES[name], SIZES[name], 3))
    torch.manual_seed(0)
    way = {key: torch.randn_like(leaf) for key, leaf in net.named_parameters()}
    with jax.enable_x64(True):
        rest, params = split(name, net.state_dict())
        model = vit() if name == 'vit' else models.create(name, CLASSES, head=0, **options)

        def apply(params: Any, x: Any) -> Any:
            return model.apply({**rest, 'params': params}, x)

        yield SimpleNamespace(
            name=name, net=net, x=peers.to_nchw(image), y=torch.tensor(LABELS), way=way,
            ours=(apply, params, jnp.asarray(image), jnp.asarray(LABELS)), tree=to_params(name, net, way),
        )  # fmt: skip
    jax.clear_caches()


def timm_vit():
    import timm

    made = timm.models.vision_transformer.VisionTransformer(
        img_size=SIZES['vit'], patch_size=7, embed_dim=24, depth=2, num_heads=3, num_classes=CLASSES
    )
    for block in made.blocks:
        block.attn.fused_attn = False  # it has no derivative of its derivative
    return peers.shake(made.eval())


def vit():
    return ViT(Linear(CLASSES), patch=7, blocks=2, heads=3, channels=8, act=lambda x: nn.gelu(x, False))


def split(name, state):
    """torch's tensors as our variables, in their own precision: all but the parameters, and the parameters."""
    source = {key: leaf.detach().numpy() for key, leaf in state.items()}
    found = match_tensors(source, rules(SIZES['vit'] // 7) if name == 'vit' else table(name), [])
    variables = unflatten({place: jnp.asarray(transform(source[key])) for key, place, transform in found})
    return {key: tree for key, tree in variables.items() if key != 'params'}, variables['params']


def to_params(name, net, leaves):
    """A tensor for each of torch's parameters, as a tree like our parameters; zeros where there is none."""
    zeros = {key: torch.zeros_like(leaf) for key, leaf in net.state_dict().items()}
    return split(name, {**zeros, **leaves})[1]


def agree(pair, ours, theirs):
    """Within 1e-7 of each parameter's largest number."""
    one, two = named(ours), named(to_params(pair.name, pair.net, theirs))
    for name, leaf in two.items():
        np.testing.assert_allclose(one[name], leaf, rtol=0, atol=1e-7 * max(np.abs(leaf).max(), 1e-12), err_msg=name)


@pytest.mark.parametrize('kind', ['hessian', 'ggn', 'fisher'])
def test_products_are_those_of_torch(pair, kind):
    """By torch's derivatives, not by curvlinops' operators: of LayerNorm's scale, torch's jvp of jacrev is wrong."""
    op = gradients.curvature_operator(*pair.ours, kind=kind)
    still = op.unravel(jnp.zeros_like(op.like))
    found = jax.tree.map(jnp.subtract, op.unravel(op(op.ravel(pair.tree))), still)
    agree(pair, found, dict(zip(pair.way, PRODUCTS[kind](pair), strict=True)))


def hessian_product(pair):
    leaves = list(pair.net.parameters())
    loss = torch.nn.functional.cross_entropy(pair.net(pair.x), pair.y)
    return torch.autograd.grad(torch.autograd.grad(loss, leaves, create_graph=True), leaves, list(pair.way.values()))


def gauss_newton_product(pair):
    leaves = {key: leaf.detach() for key, leaf in pair.net.named_parameters()}
    logits = lambda leaves: torch.func.functional_call(pair.net, leaves, (pair.x,))  # noqa: E731
    found, change = torch.func.jvp(logits, (leaves,), (pair.way,))
    chance = found.softmax(1)
    back = (chance * change - chance * (chance * change).sum(1, keepdim=True)) / len(pair.x)
    return torch.autograd.grad(pair.net(pair.x), list(pair.net.parameters()), back)


def fisher_product(pair):
    total = [torch.zeros_like(leaf) for leaf in pair.way.values()]
    for image, label in zip(pair.x, pair.y, strict=True):
        loss = torch.nn.functional.cross_entropy(pair.net(image[None]), label[None])
        slopes = torch.autograd.grad(loss, list(pair.net.parameters()))
        share = sum((slope * way).sum() for slope, way in zip(slopes, pair.way.values(), strict=True)) / len(pair.x)
        total = [whole + share * slope for whole, slope in zip(total, slopes, strict=True)]
    return total


PRODUCTS = {'hessian': hessian_product, 'ggn': gauss_newton_product, 'fisher': fisher_product}


def test_the_diagonal_is_the_sum_of_torch_s_squared_gradients(pair):
    """Of each image and class, back from √p (e − p): their outer products add up to the Gauss-Newton matrix."""
    leaves = dict(pair.net.named_parameters())
    total = {key: torch.zeros_like(leaf) for key, leaf in leaves.items()}
    for image in pair.x:
        logits = pair.net(image[None])[0]
        chance = logits.detach().softmax(0)
        for number in range(CLASSES):
            way = chance[number].sqrt() * (torch.eye(CLASSES, dtype=chance.dtype)[number] - chance)
            slopes = torch.autograd.grad(logits, list(leaves.values()), way, retain_graph=True)
            for key, slope in zip(leaves, slopes, strict=True):
                total[key] += slope**2 / len(pair.x)
    agree(pair, gradients.curvature_diagonal(*pair.ours, kind='ggn'), total)


def test_kronecker_factors_and_their_inverses_are_those_of_curvlinops(pair):
    chosen = {key: leaf for key, leaf in pair.net.named_parameters() if re.match(FACTORED[pair.name], key)}
    marks = to_params(pair.name, pair.net, {key: torch.ones_like(leaf) for key, leaf in chosen.items()})
    where = '|'.join(re.escape(name) for name, leaf in named(marks).items() if np.any(leaf))
    factors = gradients.kronecker_factors(*pair.ours, where=where)
    assert not factors.diagonal
    assert len([name for names in factors.layers for name in names]) == len(chosen)
    given = pair.net, torch.nn.CrossEntropyLoss(), list(chosen.values()), [(pair.x, pair.y)]
    op = curvlinops.KFACLinearOperator(*given, fisher_type='type-2', separate_weight_and_bias=False)
    way = [pair.way[key] for key in chosen]
    agree(pair, gradients.kronecker_product(factors, pair.tree), dict(zip(chosen, op @ way, strict=True)))
    inverse = curvlinops.KFACInverseLinearOperator(op, damping=DAMPING, use_exact_damping=True)
    solved = dict(zip(chosen, inverse @ way, strict=True))
    agree(pair, gradients.kronecker_solve(factors, pair.tree, DAMPING), solved)
