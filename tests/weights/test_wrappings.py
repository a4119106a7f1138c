"""Files as training scripts write them: which of their tensors are the network's, and what is said about the others."""

import logging
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_writer import archive, whole

from alljax import models
from alljax.commands.weights import main
from alljax.errors import UserError
from alljax.runs import network
from alljax.weights import weight_cache
from alljax.weights.convert import shapes
from alljax.weights.rules import table
from alljax.weights.rules.rule import match_tensors
from alljax.weights.wrappings import Selection, of_other_networks, unwrap

LAYERS = ('features.0', 'features.3', 'features.6', 'features.8', 'features.10', 'classifier.1', 'classifier.4',
          'classifier.6')  # fmt: skip
NAMES = [f'{layer}.{part}' for layer in LAYERS for part in ('weight', 'bias')]
OWN = {name: np.full(2, number, np.float32) for number, name in enumerate(NAMES)}
ONE = np.ones(2, np.float32)


def under(prefix, tensors=OWN, by=0.0):
    return {prefix + name: tensor + np.float32(by) for name, tensor in tensors.items()}


def taken(tensors, **wanted):
    """The tensors of AlexNet, which have to be its own, and the notes in one text."""
    found = unwrap('alexnet', tensors, Selection(**wanted))
    assert list(found.tensors) == NAMES
    return found.tensors, '; '.join(found.notes)


@pytest.mark.parametrize(
    'prefix',
    ['', 'module.', '_orig_mod.', 'module._orig_mod.', 'model.', 'net.', 'encoder.', 'backbone.', 'state_dict.model.',
     'state_dict.module.backbone.net.', 'lit.student.0.', 'model_state_dict.', 'weights.', 'ema.module.'],
)  # fmt: skip
def test_whatever_is_before_the_names_is_found_and_said(prefix):
    tensors, notes = taken(under(prefix))
    assert all(np.array_equal(tensors[name], OWN[name]) for name in NAMES)
    assert notes == (f'took the tensors whose names begin with {prefix!r}' if prefix else '')


def test_what_stands_beside_is_told_and_left():
    beside = {'optimizer.scale': ONE, 'projector.0.weight': ONE, 'epoch': ONE[0]}
    assert taken(OWN | beside)[1] == 'left out 3 tensors that are none of alexnet: epoch, optimizer, projector'
    _, notes = taken(under('model.', OWN | {'projector.weight': ONE, 'features.total_ops': ONE}) | beside)
    assert notes.endswith('left out 5 tensors that are none of alexnet: epoch, model, optimizer, projector')


def test_tensors_among_the_networks_own_are_of_another_network():
    found = unwrap('alexnet', under('model.', OWN | {'features.0.se.weight': ONE}), Selection())
    assert 'features.0.se.weight' in found.tensors  # for the rules to refuse


@pytest.mark.parametrize('copy', ['state_dict_ema.', 'model_ema.', 'ema.module.', 'ema_model.', 'swa.', 'teacher.'])
@pytest.mark.parametrize('own', ['state_dict.', 'model.module.', ''])
def test_moving_averages_stand_back_and_may_be_chosen(own, copy):
    both = under(copy, by=100) | under(own)
    tensors, notes = taken(both)
    assert tensors['features.0.weight'][0] == 0
    assert f'also there under {copy}; --prefix={copy[:-1]} takes that one' in notes
    for prefix in (copy, copy[:-1]):
        assert taken(both, prefix=prefix)[0]['features.0.weight'][0] == 100


def test_averages_are_taken_where_they_alone_are_whole():
    part = {name: OWN[name] for name in NAMES[:4]}
    assert taken(under('model_ema.', by=100) | under('model.', part))[0]['features.0.weight'][0] == 100


def test_two_networks_are_an_error_unless_they_are_equal_or_one_is_chosen():
    both = under('encoder_q.') | under('encoder_k.', by=1)
    with pytest.raises(UserError, match=r"holds the network under 'encoder_k' and 'encoder_q', .*--prefix=encoder_k"):
        unwrap('alexnet', both, Selection())
    assert taken(both, prefix='encoder_q')[0]['features.0.weight'][0] == 0
    assert taken(under('state_dict.') | under('best.'))[0]
    with pytest.raises(UserError, match=r'--prefix encoder: no name begins with it; those there are: encoder_k, encod'):
        unwrap('alexnet', both, Selection(prefix='encoder'))
    assert taken(OWN | under('b.', by=1), prefix='')[0]['features.0.weight'][0] == 0


def resnet34(prefix):
    """Zeros under torchvision's names."""
    blocks = [(layer, block) for layer, count in enumerate((3, 4, 6, 3), 1) for block in range(count)]
    modules = ['conv1', 'bn1', 'fc', *(f'layer{layer}.0.downsample.{part}' for layer in (2, 3, 4) for part in (0, 1)),
               *(f'layer{layer}.{block}.{kind}{part}' for layer, block in blocks for kind in ('conv', 'bn')
                 for part in (1, 2))]  # fmt: skip
    names = [f'{module}.{leaf}' for module in modules for leaf in ('weight', 'bias', 'running_mean', 'running_var')]
    target = shapes('resnet34', 5)
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    return {
        prefix + name: np.zeros([target[place][axis] for axis in axes[len(target[place])]])
        for name, place, _ in match_tensors(names, table('resnet34'), [])
        if place in target
    }


@pytest.mark.slow
def test_a_file_of_another_network_is_said_to_be_of_which():
    assert of_other_networks('resnet50', resnet34('model.')) == ['resnet34']
    assert of_other_networks('resnet34', under('model.')) == []


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))


def squeezenet(prefix=''):
    """Random tensors of SqueezeNet 1.1."""
    fires = [
        f'features.{n}.{part}' for n in (3, 4, 6, 7, 9, 10, 11, 12) for part in ('squeeze', 'expand1x1', 'expand3x3')
    ]
    names = [f'{layer}.{kind}' for layer in ('features.0', *fires, 'classifier.1') for kind in ('weight', 'bias')]
    rng, target = np.random.default_rng(0), shapes('squeezenet1_1', 7)
    leaves = {
        key: 0.1 * rng.normal(size=target[place]).astype(np.float32)
        for key, place, _ in match_tensors(names, table('squeezenet1_1'), [])
    }
    return {
        prefix + key: np.ascontiguousarray(leaf.transpose(3, 2, 0, 1)) if leaf.ndim == 4 else leaf
        for key, leaf in leaves.items()
    }


@cache
def applied(name, classes, options):
    """A network's logits as one program, which all its folders share."""
    return jax.jit(models.create(name, classes, **dict(options)).apply)


def logits(folder):
    net = network.load(folder)
    apply = applied(net.card.network.name, len(net.classes), tuple(net.card.network.options.items()))
    return np.asarray(apply(net.variables, jnp.zeros((1, 64, 64, 3))))


def test_every_wrapping_gives_the_same_network(own_cache, tmp_path, caplog):
    save_file(squeezenet(), tmp_path / 'bare.safetensors')
    save_file(squeezenet('module._orig_mod.'), tmp_path / 'wrapped.safetensors')
    np.savez(tmp_path / 'numpy.npz', **squeezenet('net.'))
    own = squeezenet()
    stored = {name: whole(str(number), tensor) for number, (name, tensor) in enumerate(own.items())}
    storages = {str(number): tensor for number, tensor in enumerate(own.values())}
    lightning = {'epoch': 3, 'pytorch-lightning_version': '2.5.0', 'optimizer_states': [{'state': {}}],
                 'state_dict': {f'model.{name}': tensor for name, tensor in stored.items()}}  # fmt: skip
    archive(tmp_path / 'lightning.ckpt', lightning, storages)
    expected = logits(weight_cache.from_file('squeezenet1_1', tmp_path / 'bare.safetensors'))
    for file, prefix in (('wrapped.safetensors', 'module._orig_mod.'), ('numpy.npz', 'net.'),
                         ('lightning.ckpt', 'state_dict.model.')):  # fmt: skip
        with caplog.at_level(logging.INFO):
            found = logits(weight_cache.from_file('squeezenet1_1', tmp_path / file))
        np.testing.assert_array_equal(found, expected)
        assert f'{file}: took the tensors whose names begin with {prefix!r}' in caplog.text


def test_the_command_takes_the_prefix_and_refuses_numbers_that_are_none(own_cache, tmp_path, capsys):
    path = tmp_path / 'two.safetensors'
    broken = squeezenet('model_ema.')
    broken['model_ema.features.0.bias'][3] = np.nan
    save_file(squeezenet('model.') | broken, path)
    main(['squeezenet1_1', '--file', str(path), '--prefix', 'model'])
    assert '-model' in capsys.readouterr().out
    with pytest.raises(UserError, match=r'two.safetensors: features.0.bias holds NaN or infinity, 1 of its 64 numbers'):
        main(['squeezenet1_1', '--file', str(path), '--prefix', 'model_ema'])
    with pytest.raises(UserError, match='--prefix belong to --file'):
        main(['squeezenet1_1', '--prefix', 'model'])
