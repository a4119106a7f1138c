"""Dice and Hausdorff by hand, and what is drawn first."""

import numpy as np
import pytest

from alljax.baselines import segmentation_scores
from alljax.baselines.systems import SYSTEMS
from alljax.data import datasets
from alljax.data.augment import Augmentation
from alljax.data.datasets import DataOptions
from alljax.data.protocol import COPY_MARK, divide
from alljax.data.split import SplitOptions
from alljax.evaluation import segmentation_outlines


def square(row, column, side=4, size=20):
    mask = np.zeros((size, size), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def test_dice_and_hausdorff_by_hand():
    empty = np.zeros((20, 20), bool)
    assert segmentation_scores.dice(square(2, 2), square(2, 4)) == pytest.approx(2 * 8 / 32)
    assert segmentation_scores.dice(empty, empty) == 1
    assert segmentation_scores.dice(empty, square(0, 0)) == 0
    assert segmentation_scores.hausdorff(square(2, 2), square(2, 5)) == pytest.approx(3)
    assert segmentation_scores.hausdorff(square(2, 2), square(5, 6)) == pytest.approx(5)
    assert segmentation_scores.hausdorff(empty, square(0, 0)) == pytest.approx(np.hypot(20, 20))
    assert segmentation_scores.hausdorff(empty, empty) == 0


@pytest.fixture(scope='module')
def found(drawn):
    options = SplitOptions('paper'), Augmentation('published')
    cells, parts = divide(datasets.load(DataOptions('all_idb2', str(drawn), size=128), 0), *options, 0)
    return cells, parts, segmentation_scores.score(SYSTEMS['rawat2017'](), cells.take(parts.test))


def test_drawn_cells_are_scored_and_copies_are_left_out(found):
    cells, parts, result = found
    originals = [name for name in (cells.names[place] for place in parts.test) if COPY_MARK not in name]
    assert list(result.cells.names) == originals
    assert 0 < len(originals) < len(parts.test)
    summary = segmentation_scores.summary(result)
    assert summary['cells_with_truth'] == len(originals)
    assert summary['nucleus_dice'] > 0.9
    assert summary['cell_hausdorff'] >= 0


def test_the_worst_come_first(found):
    result = found[2]
    dice = result.scores[:, :2].mean(1)
    order = result.worst(len(dice))
    assert dice[order[0]] == dice.min()
    assert (np.diff(dice[order]) >= 0).all()


def test_the_sheet_is_a_picture_of_all_of_them(found, tmp_path, fine_figures):
    from PIL import Image

    result = found[2]
    cells = [
        segmentation_outlines.OutlinedCell(image, (parts.nucleus,), (), f'cell $ {number}')
        for number, (image, parts) in enumerate(zip(result.cells.images[:8], result.found, strict=False))
    ]
    segmentation_outlines.write_sheet(cells, tmp_path / 'sheet.png', title='some cells')
    with Image.open(tmp_path / 'sheet.png') as picture:
        assert picture.size[0] > 1800
