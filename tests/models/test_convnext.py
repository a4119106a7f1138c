import jax
import jax.numpy as jnp
import numpy as np

from alljax.models.convnext import ResponseNorm


def test_channels_are_weighted_by_their_share_of_the_response():
    """The formula of the paper (section 3.3) in NumPy, with a channel that is 0 everywhere and still has a gradient."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    x[..., 2] = 0
    scale, bias = rng.normal(size=(2, 5)).astype(np.float32)

    @jax.jit
    def both(x):
        def normalized(x):
            y = ResponseNorm().apply({'params': {'scale': scale, 'bias': bias}}, x)
            return (y**2).sum(), y

        (_, y), gradient = jax.value_and_grad(normalized, has_aux=True)(x)
        return y, gradient

    norm = np.sqrt((x**2).sum((1, 2), keepdims=True))
    expected = x + scale * x * norm / norm.mean(-1, keepdims=True) + bias
    found, gradient = both(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.isfinite(gradient).all()
    assert gradient[..., 2].any()
