"""Masks of the user's own: which is of which image, what its levels mean, and every problem at once."""

import numpy as np
import pytest
from PIL import Image

from alljax.baselines import mask_files, segmentation_scores
from alljax.baselines.mask_files import Truth
from alljax.baselines.segment import Parts
from alljax.baselines.segmentation_scores import NamedPictures
from alljax.errors import UserError

PICTURE = np.full((20, 20, 3), 200, np.uint8)


def block(low, high):
    mask = np.zeros((20, 20), bool)
    mask[low:high, low:high] = True
    return mask


NUCLEUS, CELL = block(8, 12), block(5, 15)


def saved(path, levels):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = levels if isinstance(levels, Image.Image) else Image.fromarray(levels.astype(np.uint8))
    picture.save(path)
    return path


def read(root, names, masks):
    """The truth that is read for images of these names from `masks`, by file."""
    files = [saved(root / 'images' / name, PICTURE) for name in names]
    for name, levels in masks.items():
        saved(root / name, levels)
    folder = root / ('images' if any(name.startswith('images') for name in masks) else 'masks')
    return mask_files.read(root / 'images', files, [PICTURE] * len(files), folder)


def check(truth, nucleus, cell):
    for mask, expected in zip(truth, (nucleus, cell), strict=True):
        assert (mask is None) == (expected is None)
        if mask is not None:
            np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    'name', ['masks/a.png', 'images/a_mask.png', 'masks/a-Mask.png', 'masks/a.bmp.png', 'masks/deep/a.tif']
)
@pytest.mark.parametrize(('low', 'high'), [(128, 255), (1, 2)])
def test_three_levels_are_background_cytoplasm_and_nucleus(tmp_path, name, low, high):
    known = read(tmp_path, ['a.bmp'], {name: np.where(NUCLEUS, high, low * CELL)})
    check(known.truth[0], NUCLEUS, CELL)
    assert known.said == [f'1 mask: level {high} is taken for the nucleus, {low} for the cytoplasm']


def test_a_mask_that_measure_wrote_is_read_by_the_numbers_of_its_colors(tmp_path):
    from alljax.baselines import measure

    parts = Parts(NUCLEUS, CELL & ~NUCLEUS)
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks' / 'a.bmp.png').write_bytes(measure._png(parts))
    check(read(tmp_path, ['a.bmp'], {}).truth[0], NUCLEUS, CELL)


def test_two_levels_are_the_cell_unless_a_name_says_nucleus(tmp_path):
    known = read(tmp_path, ['a.bmp', 'b.bmp'], {'masks/a.png': 255 * CELL})
    check(known.truth[0], None, CELL)
    assert known.truth[1] is None
    assert known.said == [
        "1 mask of two levels: 255 is taken for the cell, since no name of theirs holds 'nucleus'",
        'no mask of b.bmp: not scored',
    ]
    known = read(tmp_path, ['a.bmp'], {'masks/nuclei/a.png': NUCLEUS})
    check(known.truth[0], NUCLEUS, CELL)
    assert known.said[1] == '1 mask of two levels: 1 is taken for the nucleus'


def test_a_cell_without_cytoplasm_is_read_as_the_other_masks_are(tmp_path):
    known = read(
        tmp_path, ['a.bmp', 'b.bmp'], {'masks/a.png': 255 * NUCLEUS, 'masks/b.png': np.where(NUCLEUS, 255, 128 * CELL)}
    )
    check(known.truth[0], NUCLEUS, NUCLEUS)


def test_all_problems_are_told_together(tmp_path):
    masks = {
        'masks/a.png': np.zeros((20, 24)),
        'masks/b.png': np.arange(400).reshape(20, 20) % 7,
        'masks/c.png': np.random.default_rng(0).integers(0, 255, (20, 20, 3)),
        'masks/d.png': 255 * CELL,
        'masks/d_mask.png': 255 * CELL,
        'masks/e.png': 255 * CELL,
    }
    with pytest.raises(UserError) as error:
        read(tmp_path, [f'{name}.bmp' for name in 'abcde'], masks)
    said = [problem.rpartition('/')[2].partition(';')[0] for problem in error.value.problems]
    assert said == [
        'd.bmp: has 2 masks, d.png, d_mask.png',
        'a.png: is 24×20 pixels, its image 20×20',
        'b.png: has 7 levels, expected 0, one for the cytoplasm and one for the nucleus',
        'c.png: is colored, expected levels of gray',
    ]


@pytest.mark.parametrize(
    ('masks', 'words'),
    [
        ({'masks/z.png': CELL}, 'holds no mask of any image'),
        (
            {'masks/a.png': 255 * CELL, 'masks/b.png': CELL},
            r'levels 0 in a.png, 1 in b.png, 255 in a.png, but none has',
        ),
        ({'masks/a.png': np.full((20, 20), 9), 'masks/b.png': np.full((20, 20), 9)}, 'levels 9 in a.png; expected 0'),
        ({'masks/a_nucleus.png': np.where(NUCLEUS, 2, CELL)}, 'in masks of the nucleus'),
    ],
)
def test_levels_that_cannot_be_told_are_refused(tmp_path, masks, words):
    with pytest.raises(UserError, match=words):
        read(tmp_path, ['a.bmp', 'b.bmp'], masks)


def test_a_missing_mask_leaves_its_measures_open_and_the_means_to_the_rest():
    found = [Parts(NUCLEUS, CELL & ~NUCLEUS)] * 3
    truth = [Truth(NUCLEUS, CELL), Truth(None, NUCLEUS), None]
    scores = segmentation_scores.against(found, truth, NamedPictures('abc', [PICTURE] * 3))
    assert segmentation_scores.summary(scores) == {
        'cells_with_truth': 2,
        'nucleus_dice': 1.0,
        'cell_dice': round((1 + 2 * 16 / 116) / 2, 4),
        'nucleus_hausdorff': 0.0,
        'cell_hausdorff': round(np.hypot(3, 3) / 2, 4),
    }
    assert scores.worst(2) == [1, 0]
