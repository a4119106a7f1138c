"""What follows from a config before any cell is read."""

from alljax.config import resolve
from configs import common


def resolved(given=(), **split):
    config = common.get_config()
    config.model.init = 'random'
    config.split.update(split)
    return resolve.resolve(config, given)


def test_the_paper_s_protocol_brings_its_copies():
    assert resolved(protocol='paper').augmentation.copies == 'published'
    assert resolved(protocol='grouped').augmentation.copies == 'fresh'


def test_what_the_user_set_stays():
    assert resolved({'augment.copies'}, protocol='paper').augmentation.copies == 'fresh'
