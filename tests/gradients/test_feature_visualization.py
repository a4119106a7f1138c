import jax
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.models import Input, Model

KEY = jax.random.key(0)
MODEL = tiny.Tiny()


@pytest.fixture(scope='module')
def variables():
    return tiny.variables(MODEL, size=16)


@pytest.mark.slow
def test_the_picture_raises_its_channel_above_noise(variables):
    picture = gradients.visualize_channel(MODEL, variables, layer='body', channel=2, key=KEY, steps=12, size=16)
    assert picture.shape == (16, 16, 3)
    assert 0 <= np.asarray(picture).min() <= np.asarray(picture).max() <= 1
    noise = jax.random.uniform(KEY, (50, 16, 16, 3))
    of_noise = gradients.layer_output(MODEL, variables, noise, 'body')
    of_picture = gradients.layer_output(MODEL, variables, picture[None], 'body')
    assert of_picture[..., 2].mean() > of_noise[..., 2].mean((1, 2)).max()


@pytest.mark.slow
def test_the_model_s_own_size_and_normalization_are_used(variables):
    form = Input(16, mean=(0.5, 0.4, 0.3), deviation=(0.1, 0.2, 0.3))
    model = Model('tiny', MODEL.init, MODEL.apply, form)

    def normalized(variables, x):
        return MODEL.apply(variables, (x - np.float32(form.mean)) / np.float32(form.deviation))

    options = {'layer': 'stem', 'channel': 0, 'key': KEY, 'steps': 2}
    found = gradients.visualize_channel(model, variables, **options)
    np.testing.assert_allclose(found, gradients.visualize_channel(normalized, variables, size=16, **options), atol=1e-5)
    plain = gradients.visualize_channel(MODEL, variables, size=16, **options)
    assert np.abs(found - plain).max() > 1e-4


def test_a_channel_that_there_is_not_is_told(variables):
    with pytest.raises(ValueError, match=r"channel is 4: layer 'body' has 4"):
        gradients.visualize_channel(MODEL, variables, layer='body', channel=4, key=KEY, size=16)


def test_a_layer_that_there_is_not_is_told(variables):
    with pytest.raises(ValueError, match="did you mean 'body'"):
        gradients.visualize_channel(MODEL, variables, layer='bodies', channel=0, key=KEY, size=16)


def test_a_model_that_does_not_tell_its_size_needs_one(variables):
    with pytest.raises(ValueError, match='size is 0'):
        gradients.visualize_channel(MODEL, variables, layer='body', channel=0, key=KEY)
