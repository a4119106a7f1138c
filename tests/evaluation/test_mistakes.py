import numpy as np

from alljax.evaluation.mistakes import most_confident

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.01, 0.99]], dtype=np.float32)
IMAGES = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)


def mistakes(labels, **options):
    return most_confident(PROBABILITIES, np.array(labels), IMAGES, 'abcd', 'wxyz', ['blast', 'normal'], **options)


def test_surest_mistake_comes_first():
    found = mistakes([1, 0, 0, 0])
    assert [mistake.name for mistake in found] == ['d', 'a', 'b']
    first = found[0]
    assert (first.group, first.label, first.prediction) == ('z', 'blast', 'normal')
    assert isinstance(first.probability, float)
    np.testing.assert_allclose(first.probability, 0.99, rtol=1e-6)
    np.testing.assert_array_equal(first.image, IMAGES[3])


def test_at_most_so_many():
    assert [mistake.name for mistake in mistakes([1, 0, 0, 0], most=2)] == ['d', 'a']


def test_no_mistakes():
    assert mistakes([0, 1, 0, 1]) == []
