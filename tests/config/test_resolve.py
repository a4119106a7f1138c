"""What follows from a config before any cell is read."""

from pathlib import Path

import pytest

from alljax.config import resolve
from alljax.config.classical_system_fields import without_levers
from alljax.errors import UserError
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


def test_a_classical_system_refuses_what_only_a_network_s_training_knows():
    config = common.get_config()
    config.baseline.system = 'putzu2014'
    config.optimizer.ema, config.model.norm, config.data.equalize = 0.99, 'group', 'batches'
    with pytest.raises(UserError) as caught:
        resolve.resolve(config, ())
    said = str(caught.value)
    for words in (
        'config.optimizer.ema is 0.99, but putzu2014 is a classical system',
        'config.model.norm is',
        'no batches',
    ):
        assert words in said
    plain = without_levers(config)
    assert (plain.optimizer.ema, plain.model.norm, plain.data.equalize) == (0.0, 'batch', 'oversample')
    assert resolve.resolve(plain, ()).system.name == 'putzu2014'
    config.calibration.unlike = 'energy'
    assert without_levers(config).calibration.unlike == 'pictures'


def test_a_classical_system_beside_a_network_s_run_leaves_its_jitter_out():
    config = common.get_config()
    config.augment.stain, config.augment.jpeg = 0.1, 50
    config.baseline.system = 'putzu2014'
    with pytest.raises(UserError, match=r'config\.augment\.stain changes cells at each step'):
        resolve.resolve(config, ())
    assert not resolve.resolve(without_levers(config), ()).augmentation.stain
    config.augment.copies = 'published'  # which the system sees
    assert resolve.resolve(without_levers(config), ()).augmentation.stain == 0.1


def test_the_networks_of_a_system_are_found_one_by_one(monkeypatch):
    config = common.get_config()
    config.baseline.system, config.model.init = 'vogado2017', 'random'
    with config.ignore_type():
        config.baseline.networks = ('resnet18', 'vgg11')
    plan = resolve.resolve(config, ())
    assert [one.network.name for one in plan.measuring] == ['resnet18', 'vgg11']
    obtained = []
    monkeypatch.setattr(resolve.weight_cache, 'obtain', lambda *named: obtained.append(named) or Path('weights'))
    config.model.init, config.baseline.networks = 'imagenet:convolutions', ('alexnet', 'resnet18')
    resolve.resolve(config, ())
    assert obtained[-2:] == [
        ('alexnet', 'convolutions'),
        ('resnet18', ''),
    ]  # alone where they are published
    config.model.init, config.baseline.networks = '/a/run', ('resnet18', 'vgg11')
    with pytest.raises(UserError, match=r'is of one network, but config.baseline.networks names resnet18, vgg11'):
        resolve.resolve(config, ())
    config.baseline.system, config.model.init = 'putzu2014', 'random'
    with pytest.raises(UserError, match=r"config.baseline.features has no 'network'"):
        resolve.resolve(config, ())
