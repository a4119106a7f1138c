"""The system unet: the weights that the package ships, those of a user, and cells that it has to find."""

import json

import numpy as np
import pytest
import safetensors.numpy
from hard_pictures import cell

from alljax.baselines import extraction, segmentation_scores
from alljax.baselines.segment import unet
from alljax.baselines.systems import SYSTEMS
from alljax.errors import UserError


def dice_of(picture, drawn, **weights):
    found = unet.unet(picture, **weights)
    return segmentation_scores.dice(found.nucleus, drawn.nucleus), segmentation_scores.dice(
        found.cell, drawn.nucleus | drawn.cytoplasm
    )


def test_the_shipped_weights_are_small_and_say_what_they_are_of():
    assert unet.SHIPPED.stat().st_size < 2**20
    card = json.loads(unet.SHIPPED.with_suffix('.json').read_text())
    assert card['trained_on'].endswith('and no others')  # no cell of anybody's
    assert card['held_out']['drawn cells']['nucleus_dice'] > 0.9


def test_drawn_cells_are_found_whole_or_cut_out():
    for number in (0, 20, 50):
        drawn = cell(number)
        assert min(dice_of(drawn.image, drawn)) > 0.93, number
        black = np.where((drawn.nucleus | drawn.cytoplasm)[..., None], drawn.image, np.uint8(0))
        assert min(dice_of(black, drawn)) > 0.93, number


def test_a_picture_need_not_be_square():
    drawn = cell(50)
    narrow = type(drawn)(*(part[30:230] for part in drawn))
    assert min(dice_of(narrow.image, narrow)) > 0.9


def test_a_user_s_weights_take_the_place_of_the_shipped_ones(tmp_path):
    shipped, mine = safetensors.numpy.load_file(unet.SHIPPED), tmp_path / 'mine.safetensors'
    bias = np.tile(np.array([50, 0, 0], np.float16), 4)  # background everywhere
    safetensors.numpy.save_file({**shipped, 'head/bias': bias}, mine)
    system = SYSTEMS['unet']()
    changed = system._replace(weights=str(mine))
    picture = cell(0).image
    assert extraction.segment(picture, extraction.make_extractor(system)).found
    assert not extraction.segment(picture, extraction.make_extractor(changed)).found
    keys = {extraction.key(one, extraction.make_extractor(one)) for one in (system, changed)}
    assert len(keys) == 2
    assert None not in keys
    assert 'weights of mine.safetensors' in str(changed)


def test_weights_that_cannot_be_used_are_refused(tmp_path):
    wrong, other = tmp_path / 'wrong.safetensors', tmp_path / 'other.safetensors'
    wrong.write_bytes(b'nothing')
    safetensors.numpy.save_file({'down0_0/kernel': np.zeros((3, 3, 12, 4), np.float16)}, other)
    for path, said in ((wrong, 'cannot be read'), (other, 'holds no U-Net'), (tmp_path / 'no', 'cannot be read')):
        with pytest.raises(UserError, match=said):
            extraction.make_extractor(SYSTEMS['unet']()._replace(weights=str(path)))
    with pytest.raises(UserError, match='the segmentation otsu has none'):
        extraction.make_extractor(SYSTEMS['joshi2013']()._replace(weights=str(wrong)))
