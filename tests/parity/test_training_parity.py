"""Twenty training steps of the paper's network in torch and here, from the same weights on the same batches.

Of a quarter of its width, in small pictures, in float64: in float32 each side's rounding turns other rectifiers, and
after ten steps their losses are 2e-4 apart.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
import torch
import torch_alexnet

from alljax import models
from alljax.config.fields import FIELDS
from alljax.models.trees import flatten
from alljax.training import learning_rate_factors, optimizer
from alljax.training.optimizer import OptimizerOptions
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

STEPS, BATCH, SIZE, CLASSES = 20, 4, 131, 4


@pytest.mark.slow
def test_losses_and_parameters_stay_those_of_torch():
    settings = OptimizerOptions(l2=1e-2)  # large enough to show in twenty steps
    model = models.create('alexnet', CLASSES, dropout=0.0, width=0.25)
    # Kernels by He's rule: from smaller ones the logits are equal but for rounding, and learning amplifies that.
    variables = {'params': torch_alexnet.random_params(model)}
    theirs = torch_alexnet.with_params(variables['params'], dropout=0.0).train().double()
    labels = np.arange(STEPS * BATCH) % CLASSES
    noise = np.random.default_rng(0).integers(0, 128, (STEPS * BATCH, SIZE, SIZE, 3))
    colors = np.array([[127, 0, 0], [0, 127, 0], [0, 0, 127], [60, 60, 60]])
    images = (noise + colors[labels][:, None, None]).astype(np.uint8)
    before = flatten(jax.tree.map(np.asarray, variables['params']))
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, np.float64), variables)
        ours, params = train(model, variables, settings, images, labels)
    expected = train_torch(theirs, settings, images, labels)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert np.ptp(ours) > 0.1  # the losses do move
    after = dict(theirs.named_parameters())
    for name, leaf in torch_alexnet.to_torch(params).items():
        there = after[name].detach().numpy()
        assert np.abs(leaf.numpy() - there).max() < 1e-6 * np.abs(there).max(), name
    moved = {name: np.abs(leaf - before[name]).max() for name, leaf in flatten(params).items()}
    assert min(moved.values()) > 0, moved


def train(model, variables, settings, images, labels):
    """Our step's losses and the final parameters."""
    factors = learning_rate_factors.factors(list(flatten(variables['params'])), FIELDS['optimizer.factors'].default, '')
    update = optimizer.make(settings, factors, STEPS, STEPS)
    setup = TrainingSetup(model, update, lambda image, key: image / jnp.float64(255), factors, jnp.ones(CLASSES), 0)
    step, state, losses = make_step(setup), initial_state(setup, variables), []
    for start in range(0, STEPS * BATCH, BATCH):
        state, metrics = step(state, Batch(jnp.asarray(images), jnp.asarray(labels), jnp.arange(start, start + BATCH)))
        losses.append(float(metrics.loss))
    return losses, jax.tree.map(np.asarray, state.variables['params'])


def train_torch(net, settings, images, labels):
    """The same in torch: two groups of rates, L2 on what is no bias."""
    head = {f'classifier.6.{name}' for name, _ in net.classifier[6].named_parameters()}
    groups = [
        {
            'params': [leaf],
            'lr': settings.rate * (20 if name in head else 1),
            'weight_decay': 0.0 if name.endswith('bias') else settings.l2,
        }
        for name, leaf in net.named_parameters()
    ]
    sgd = torch.optim.SGD(groups, lr=settings.rate, momentum=settings.momentum)
    losses = []
    for start in range(0, STEPS * BATCH, BATCH):
        chosen = slice(start, start + BATCH)
        sgd.zero_grad()
        logits = net(torch_alexnet.to_nchw(images[chosen] / 255))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[chosen]))
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return losses
