"""What follows from a config before any cell is read."""

from alljax.config import resolve
from configs import common


def settled(given=(), **split):
    config = common.get_config()
    config.model.init = 'random'
    config.split.update(split)
    return resolve.settle(config, given).config


def test_the_paper_s_protocol_brings_its_copies():
    assert settled(protocol='paper').augment.copies == 'published'
    assert settled(protocol='grouped').augment.copies == 'fresh'


def test_what_the_user_set_stays():
    assert settled({'augment.copies'}, protocol='paper').augment.copies == 'fresh'
