import jax
import numpy as np
import pytest
import tiny

from alljax import gradients


def test_superpixels_follow_colors_and_places():
    image = np.zeros((1, 12, 12, 3), np.float32)
    image[:, :, 5:] = 1  # a border that the grid of centers does not have
    parts = np.asarray(gradients.superpixels(image, count=4, compactness=0.1))[0]
    assert parts.min() >= 0
    assert parts.max() < 4
    assert not set(parts[:, :5].ravel()) & set(parts[:, 5:].ravel())
    even = np.asarray(gradients.superpixels(np.zeros((1, 12, 12, 3), np.float32), count=4))[0]
    assert [len(np.unique(even[rows, columns])) for rows, columns in np.ndindex(2, 2)] == [1] * 4
    np.testing.assert_array_equal(np.bincount(even.ravel()), [36] * 4)


@pytest.mark.parametrize('one_for_all', [True, False])
def test_a_part_gets_the_fall_without_it(one_for_all):
    x, weights = tiny.images(2), tiny.weights()
    parts = np.random.default_rng(0).integers(0, 3, (8, 8) if one_for_all else (2, 8, 8))
    parts.flat[:3] = [0, 1, 2]
    target = np.array([2, 1])
    found = gradients.superpixel_ablation(tiny.linear, weights, x, target, segments=parts, baseline=0.5, batch_size=2)
    for row, (image, wanted) in enumerate(zip(x, target, strict=True)):
        own = parts if one_for_all else parts[row]
        for part in range(3):
            hidden = np.where((own == part)[..., None], 0.5, image)
            fall = (tiny.linear(weights, image[None]) - tiny.linear(weights, hidden[None]))[0, wanted]
            np.testing.assert_allclose(np.asarray(found.map)[row][own == part], fall, rtol=1e-3, atol=1e-4)


def test_what_are_no_segments_is_told():
    x, weights = tiny.images(2), tiny.weights()
    for segments, said in (
        (np.zeros((2, 8, 8)), 'segments are float64'),
        (np.zeros((8, 4), int), 'segments are .8, 4.'),
        (np.full((8, 8), -1), 'segments go down to -1'),
    ):
        with tiny.unchecked(), pytest.raises(ValueError, match=f'superpixel_ablation: {said}'):
            gradients.superpixel_ablation(tiny.linear, weights, x, 0, segments=segments)
    with tiny.unchecked(), pytest.raises(ValueError, match='segments are traced'):
        jax.jit(lambda parts: gradients.superpixel_ablation(tiny.linear, weights, x, 0, segments=parts).map)(
            np.zeros((8, 8), int)
        )
    with tiny.unchecked(), pytest.raises(ValueError, match='superpixels are of images'):
        gradients.superpixel_ablation(lambda w, x: x, 0, x.reshape(2, -1), 0)
