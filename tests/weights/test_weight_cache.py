import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from damage import damage, files
from safetensors.numpy import save_file

from alljax import models
from alljax.commands import predict
from alljax.commands.weights import main
from alljax.errors import UserError
from alljax.models.trees import flatten
from alljax.runs import initial_variables, network
from alljax.storage import cache
from alljax.weights import published, weight_cache
from alljax.weights.convert import shapes
from alljax.weights.rules import table
from alljax.weights.rules.rule import match_tensors

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def squeezenet(tmp_path_factory):
    """A file of random weights for SqueezeNet under torchvision's names."""
    tensors = tensors_for('squeezenet1_1')
    path = tmp_path_factory.mktemp('files') / 'mine.safetensors'
    save_file(tensors, path)
    return path


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def tensors_for(name):
    """Random tensors under torchvision's names for SqueezeNet 1.1."""
    fires = [
        f'features.{n}.{part}' for n in (3, 4, 6, 7, 9, 10, 11, 12) for part in ('squeeze', 'expand1x1', 'expand3x3')
    ]
    names = [f'{layer}.{kind}' for layer in ('features.0', *fires, 'classifier.1') for kind in ('weight', 'bias')]
    rng, target = np.random.default_rng(0), shapes(name, 1000)
    leaves = {
        key: 0.1 * rng.normal(size=target[place]).astype(np.float32)
        for key, place, _ in match_tensors(names, table(name), [])
    }
    return {key: leaf.transpose(3, 2, 0, 1).copy() if leaf.ndim == 4 else leaf for key, leaf in leaves.items()}


def test_a_local_file_becomes_a_model_folder_with_its_origin(squeezenet, own_cache, capsys):
    main(['squeezenet1_1', '--file', str(squeezenet)])
    sha = hashlib.sha256(squeezenet.read_bytes()).hexdigest()
    folder = own_cache / 'weights' / f'squeezenet1_1-file-{sha[:8]}'
    assert f'--config.model.name=squeezenet1_1 --config.model.init={folder}' in capsys.readouterr().out
    facts = json.loads((folder / 'facts.json').read_text())
    assert facts['weights']['sha256'] == sha
    assert facts['weights']['file'] == 'mine.safetensors'
    net = network.load(folder)
    assert net.classes == published.imagenet_classes()
    assert jax.eval_shape(net.model.apply, net.variables, jnp.zeros((1, 224, 224, 3))).shape == (1, 1000)


def test_training_starts_from_it_with_a_new_head(squeezenet, own_cache):
    folder = weight_cache.from_file('squeezenet1_1', squeezenet)
    model = models.create('squeezenet1_1', 4, head=16)
    variables, how = initial_variables.start_from(folder, model, ('a', 'b', 'c', 'd'), jax.random.key(0))
    source = flatten(network.load(folder).variables)
    for place, leaf in flatten(variables).items():
        if place.startswith('params/head'):
            assert leaf.shape[-1] in (16, 4)
        else:
            np.testing.assert_array_equal(leaf, source[place])
    assert how.startswith('mine.safetensors, without its head for tench, goldfish')


def test_the_head_can_be_left_out(squeezenet, own_cache, tmp_path):
    out = tmp_path / 'features'
    main(['squeezenet1_1', '--file', str(squeezenet), '--without-head', '--out', str(out)])
    net = network.load(out)
    assert net.classes == ()
    assert jax.eval_shape(net.model.apply, net.variables, jnp.zeros((1, 224, 224, 3))).shape == (1, 512)
    with pytest.raises(UserError, match='exists already, and is left as it is'):
        main(['squeezenet1_1', '--file', str(squeezenet), '--out', str(out)])


def test_the_published_file_by_hand_fills_the_cache(squeezenet, own_cache, monkeypatch):
    digits = hashlib.sha256(squeezenet.read_bytes()).hexdigest()[:8]
    row = published.find('squeezenet1_1')._replace(hash=f'sha256:{digits}')
    monkeypatch.setattr(weight_cache, 'all_published', lambda: [row])
    monkeypatch.setattr(weight_cache, 'find', lambda *_: row)
    assert weight_cache.cached(row) is None
    folder = weight_cache.from_file('squeezenet1_1', squeezenet)
    assert folder == weight_cache.cached(row) == weight_cache.obtain('squeezenet1_1')
    assert network.load(folder).card.weights.weights == 'IMAGENET1K_V1'


def test_a_file_that_only_has_the_published_name_is_refused(squeezenet, own_cache, tmp_path):
    wrong = tmp_path / 'squeezenet1_1-b8a52dc0.pth'
    wrong.write_bytes(squeezenet.read_bytes())
    with pytest.raises(UserError, match='expected b8a52dc0: the file is damaged or another one, and was not used'):
        main(['squeezenet1_1', '--file', str(wrong)])
    assert not list((own_cache / 'weights').glob('squeezenet*'))


def test_a_file_of_another_network_leaves_no_entry(squeezenet, own_cache):
    with pytest.raises(UserError, match=r'mine.safetensors: .*the file is of another network'):
        main(['squeezenet1_0', '--file', str(squeezenet)])
    assert not list((own_cache / 'weights').glob('[!.]*'))


def test_a_damaged_file_is_named_once(own_cache, tmp_path):
    path = tmp_path / 'cut.pth'
    path.write_bytes(b'PK')
    with pytest.raises(UserError) as caught:
        main(['squeezenet1_1', '--file', str(path)])
    assert str(caught.value).count(str(path)) == 1
    with pytest.raises(UserError, match='is a folder; name a file in it'):
        main(['squeezenet1_1', '--file', str(tmp_path)])


@pytest.mark.slow
def test_photographs_are_classified_by_name(squeezenet, own_cache, tmp_path, capsys):
    from PIL import Image

    folder = weight_cache.from_file('squeezenet1_1', squeezenet)
    Image.fromarray(np.full((300, 400, 3), 99, np.uint8)).save(tmp_path / 'cat.png')
    assert predict.main([str(folder), str(tmp_path / 'cat.png')]) == 0
    said = capsys.readouterr().out
    assert any(name in said for name in published.imagenet_classes())


def test_an_entry_of_another_release_is_made_anew(own_cache):
    row = published.find('resnet18')
    folder = cache.folder('weights') / row.name
    folder.mkdir()
    (folder / 'facts.json').write_text('{"format": 0}')
    assert weight_cache.cached(row) is None


@pytest.mark.parametrize('kind', ['bit', 'empty', 'missing'])
def test_a_damaged_entry_is_converted_again_with_a_note(squeezenet, own_cache, monkeypatch, caplog, kind):
    row = published.find('squeezenet1_1')
    monkeypatch.setattr(weight_cache, 'find', lambda *_: row)
    monkeypatch.setattr(weight_cache, 'fetched', lambda *_: contextlib.nullcontext(squeezenet))
    folder = weight_cache.obtain('squeezenet1_1')
    expected = flatten(network.load(folder).variables)
    large = max(files(folder / 'tree'), key=lambda path: path.stat().st_size)
    damage(large, kind, Random(0))
    with pytest.raises(UserError, match='train or convert it again'):
        network.load(folder)
    assert weight_cache.obtain('squeezenet1_1') == folder
    assert 'it is part of the cache, and converted again' in caplog.text
    for name, leaf in flatten(network.load(folder).variables).items():
        np.testing.assert_array_equal(leaf, expected[name])


TWICE = """
import contextlib, sys
from pathlib import Path
from alljax.weights import weight_cache
weight_cache.fetched = lambda *_: contextlib.nullcontext(Path(sys.argv[1]))
print(weight_cache.obtain('squeezenet1_1'))
"""


@pytest.mark.slow
def test_two_processes_convert_once(squeezenet, own_cache):
    command = [sys.executable, '-c', TWICE, str(squeezenet)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in 'ab'
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert [path.name for path in (own_cache / 'weights').glob('[!.]*')] == ['squeezenet1_1-IMAGENET1K_V1']


def test_what_a_killed_download_left_is_deleted(squeezenet, own_cache, monkeypatch):
    left = cache.folder('downloads') / '.squeezenet1_1-b8a52dc0.pth.999999999-ab.part'
    left.write_bytes(b'half')
    monkeypatch.setattr(weight_cache, 'fetched', lambda *_: contextlib.nullcontext(squeezenet))
    weight_cache.obtain('squeezenet1_1')
    assert not left.exists()
