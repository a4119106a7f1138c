"""Cells as any laboratory might photograph them: repeatable, and their masks are where the cells are."""

import numpy as np

from alljax.data.synthetic import varied


def test_cells_repeat_differ_and_have_their_masks():
    numbers = range(24)
    found = [varied.draw_varied(np.random.default_rng([0, number])) for number in numbers]
    again = varied.draw_varied(np.random.default_rng([0, 3]))
    assert np.array_equal(again.drawing.image, found[3].drawing.image)
    assert len({one.kind for one in found}) > 4
    sides = {len(one.drawing.image) for one in found}
    assert varied.SIDE[0] <= min(sides) < max(sides) <= varied.SIDE[1]
    full = [one.drawing for one in found if one.drawing.nucleus.any()]
    assert len(full) > 18
    for drawing in full:
        assert drawing.image.shape[:2] == drawing.nucleus.shape == drawing.cytoplasm.shape
        assert not (drawing.nucleus & drawing.cytoplasm).any()
    darker = [d.image[d.nucleus].mean() < d.image[~d.nucleus & ~d.cytoplasm].mean() for d in full]
    assert np.mean(darker) > 0.85  # cut-outs lie on black
