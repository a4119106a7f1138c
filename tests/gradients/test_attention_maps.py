import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients, models
from alljax.gradients.attention_maps import attending

X = tiny.images(3)
TARGET = np.array([0, 1, 2])
RNG = np.random.default_rng(0)
TOKENS = RNG.normal(size=(3, 5, 4)).astype(np.float32)  # a sequence, whose first token is read
WEIGHTS = [RNG.normal(size=size).astype(np.float32) for size in ((2, 4, 4), (2, 4, 4), (4, 3))]


def heads_of(weights, x):
    """Attention of two heads, each of which compares tokens by a matrix of its own."""
    return jax.nn.softmax(jnp.einsum('btc,hcd,bsd->bhts', x, weights, x) / 2)


def sequence(weights, x):
    """Two layers of attention, of two heads each, and logits from the first token."""
    *layers, head = weights
    for layer in layers:
        x = x + (heads_of(layer, x) @ x[:, None]).mean(1)
    return x[:, 0] @ head


def attend(weights, x, offsets=None):
    """The same network, as a function that gives its attention."""
    *layers, head = weights
    found = []
    for number, layer in enumerate(layers):
        matrix = heads_of(layer, x)
        matrix = matrix if offsets is None else matrix + offsets[number]
        found.append(matrix)
        x = x + (matrix @ x[:, None]).mean(1)
    return x[:, 0] @ head, found


def looped(weights, x):
    *layers, head = weights
    x = jax.lax.scan(lambda x, layer: (x + (heads_of(layer, x) @ x[:, None]).mean(1), None), x, jnp.stack(layers))[0]
    return x[:, 0] @ head


def test_attention_is_found_in_the_order_of_use_whatever_the_library_and_in_loops():
    expected = attend(WEIGHTS, TOKENS)[1]
    for network in (sequence, jax.jit(sequence), looped):
        found = gradients.attention_weights(network, WEIGHTS, TOKENS)
        assert len(found) == 2
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(one.sum(-1), 1, rtol=1e-5)


def by_hand(layers):
    total = np.eye(layers[0].shape[-1])
    for layer in layers:
        mixed = (layer + np.eye(len(layer))) / 2
        total = mixed @ total
    return total


def test_rollout_multiplies_the_mean_of_heads_and_the_branch_past_them():
    matrices = [np.asarray(matrix).mean(1) for matrix in attend(WEIGHTS, TOKENS)[1]]
    expected = np.stack([by_hand([matrix[row] for matrix in matrices]) for row in range(3)])
    found = gradients.attention_rollout(sequence, WEIGHTS, TOKENS)
    assert found.gap is None
    np.testing.assert_allclose(found.map, expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found.map.sum(1), 1, rtol=1e-5)
    mean = gradients.attention_rollout(sequence, WEIGHTS, TOKENS, query=None).map
    np.testing.assert_allclose(mean, expected.mean(1), rtol=1e-5)


def test_relevance_adds_what_is_positive_in_attention_times_its_gradient():
    """Equations 5 and 6 of Chefer et al. 2021, the gradient by central differences."""
    _, matrices = attend(WEIGHTS, TOKENS)
    matrices = [np.asarray(matrix, np.float64) for matrix in matrices]
    with jax.enable_x64(True):
        weights, tokens = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (WEIGHTS, TOKENS))

        def logit(offsets):
            return attend(weights, tokens, offsets)[0][jnp.arange(3), TARGET].sum()

        slopes = jax.grad(logit)([jnp.zeros_like(matrix) for matrix in matrices])
        flat = np.zeros_like(matrices[1])
        flat[0, 1, 0, 2] = 1e-4
        ends = [logit([jnp.zeros_like(matrices[0]), jnp.asarray(sign * flat)]) for sign in (1, -1)]
    np.testing.assert_allclose(slopes[1][0, 1, 0, 2], (ends[0] - ends[1]) / 2e-4, rtol=1e-5)
    total = np.stack([np.eye(5)] * 3)
    for matrix, slope in zip(matrices, slopes, strict=True):
        total = total + np.maximum(matrix * np.asarray(slope), 0).mean(1) @ total
    found = gradients.gradient_attention(sequence, WEIGHTS, TOKENS, TARGET)
    np.testing.assert_allclose(found.map, total[:, 0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('method', [gradients.attention_rollout, gradients.gradient_attention])
def test_a_function_that_gives_attention_serves_as_well(method):
    found = method(sequence, WEIGHTS, TOKENS, TARGET, attend=attend).map
    np.testing.assert_allclose(found, method(sequence, WEIGHTS, TOKENS, TARGET).map, rtol=1e-5, atol=1e-6)


def test_of_images_the_map_is_of_the_patches_in_their_grid():
    model = tiny.Transformer()
    variables = tiny.variables(model)
    (matrix,) = gradients.attention_weights(model, variables, X)
    found = gradients.attention_rollout(model, variables, X).map
    expected = np.asarray(matrix).mean(1)[:, 0, 1:].reshape(3, 4, 4) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert gradients.gradient_attention(model, variables, X, TARGET, batch_size=2).map.shape == (3, 4, 4)


def test_networks_without_attention_and_with_windows_are_told():
    with pytest.raises(ValueError, match='no attention is found'):
        gradients.attention_weights(tiny.linear, tiny.weights(), X)

    def windows(weights, x):
        parts = x.reshape(len(x), 4, 16, 3)  # four windows
        matrix = jax.nn.softmax(jnp.einsum('bwtc,bwsc,h->bwhts', parts, parts, jnp.ones(2)))
        return (matrix @ parts[:, :, None]).mean((1, 2, 3)) @ weights

    with pytest.raises(ValueError, match='attends within windows'):
        gradients.attention_weights(windows, np.ones((3, 2), np.float32), X)


def test_the_attention_of_our_own_transformers_is_found():
    model = models.create('dinov2_reg4_vit_s_14', 3, width=1 / 6, size=28)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    found = jax.eval_shape(attending(model.apply), shapes, jax.ShapeDtypeStruct((2, 28, 28, 3), jnp.float32))[1]
    assert [matrix.shape for matrix in found] == [(2, 1, 9, 9)] * 12  # of four patches, a class token, and registers
