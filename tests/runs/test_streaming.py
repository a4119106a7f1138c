"""Cells that are read in batches give the very run that cells in memory give: losses, predictions, report."""

import json
import math
import os
from functools import partial

import flax.linen as nn
import numpy as np
import pytest
from helpers import plan_of
from PIL import Image

from alljax import config as fields
from alljax.data import datasets, memory_limit
from alljax.data.datasets import builder, reading, stream_index
from alljax.data.in_order import WAITING, in_order
from alljax.errors import UserError
from alljax.models import MODELS, Input, Network
from alljax.runs import experiment
from alljax.storage import feature_cache
from alljax.storage.streamed_pictures import StreamedPictures
from alljax.training import batch_sources
from configs import common

COUNT = 44


class Tiny(nn.Module):
    """Two layers and a batch normalization, before the last layers."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3), strides=4)(x))
        return self.head(nn.relu(x).mean((1, 2)))


@pytest.fixture(scope='module')
def cells(tmp_path_factory):
    """Noise of several sizes in class folders, in groups of two."""
    root, rng = tmp_path_factory.mktemp('cells'), np.random.default_rng(0)
    lines = ['file,label,group']
    for number in range(COUNT):
        label = 'ab'[number % 2]
        size = 64 if number % 5 else 70
        pixels = rng.integers(0, 200, (size, size, 3), np.uint8)
        pixels[..., 0] += np.uint8(50 * (number % 2))
        path = root / label / f'{number:02}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        lines.append(f'{label}/{number:02}.png,{label},g{number // 4}')
    (root / 'cells.csv').write_text('\n'.join(lines) + '\n')
    return root


@pytest.fixture
def config(cells, tmp_path, monkeypatch):
    """The config of two epochs of a tiny network in batches that leave a smaller one."""
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setitem(MODELS, 'tiny', Network(Tiny, Input(32)))
    values = common.get_config()
    changes = {
        'data.name': 'folder', 'data.task': 'classes', 'data.root': str(cells), 'data.size': 64, 'data.denoise': 'mean',
        'model.name': 'tiny', 'model.init': 'random', 'model.head': 4, 'model.dropout': None, 'epochs': 2,
        'batch_size': 5, 'split.validation': 0.2, 'augment.light': 0.2, 'checkpoint.seconds': 0.0,
        'report.heat_maps': False, 'optimizer.name': 'adamw', 'optimizer.rate': 1e-3,
    }  # fmt: skip
    return partial(with_fields, values, changes)


def with_fields(values, changes, further=()):
    return fields.with_fields(values, {**changes, **dict(further)})


def run(config, folder, stream, **further):
    limit = {'data.device_cache_mb': 0} if stream else {}
    return experiment.run(plan_of(config({**limit, **further})), folder)


def written(folder):
    """What a run wrote that does not tell of time."""
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    timed = ('second', 'time')
    losses = [{name: value for name, value in row.items() if not any(w in name for w in timed)} for row in rows]
    test = json.loads((folder / 'results.json').read_text())['test']
    return losses, (folder / 'predictions.csv').read_text(), test


def options(cells, **changes):
    return datasets.DataOptions('folder', str(cells), 'classes', 64, **changes)


def test_pictures_on_the_disk_are_those_in_memory(cells, tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    held, read = (datasets.load(options(cells, denoise='median', device_cache_mb=mb), 0) for mb in (None, 0))
    assert isinstance(read.images, StreamedPictures)
    assert read.images.shape == held.images.shape
    assert (held.origin, held.names, held.sides) == (read.origin, read.names, read.sides)
    np.testing.assert_array_equal(held.sizes, read.sizes)
    np.testing.assert_array_equal(held.images, read.images[:])
    np.testing.assert_array_equal(held.images[7], read.images[7])
    chosen = np.array([9, 2, 2, 40])
    np.testing.assert_array_equal(held.take(chosen).images, read.take(chosen).images[:])
    np.testing.assert_array_equal(held.images, np.stack([*read.images]))
    np.testing.assert_array_equal(feature_cache.digests(held.images), feature_cache.digests(read.images))
    with pytest.raises(TypeError, match='index them'):
        np.asarray(read.images)


def test_cells_in_several_files_and_those_of_an_earlier_release_are_the_same(cells, tmp_path, monkeypatch):
    found = []
    for name in ('one', 'several', 'earlier'):
        monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / name))
        with monkeypatch.context() as patch:
            if name == 'several':
                patch.setattr(builder, 'CELLS_A_FILE', 10)
            if name == 'earlier':
                patch.delattr(builder.CellsBuilder, '_generate_splits')  # TFDS's own shuffles them
            found += [datasets.load(options(cells, device_cache_mb=mb), 0) for mb in (None, 0)]
        assert len([*(tmp_path / name).rglob('*array_record*')]) == (5 if name == 'several' else 1)
    for other in found[1:]:
        assert (other.names, other.origin) == (found[0].names, found[0].origin)
        np.testing.assert_array_equal(other.images[:], found[0].images)


def test_results_come_in_order_and_few_are_begun_ahead():
    begun = []
    results = in_order(lambda item: begun.append(item) or item**2, iter(range(1000)))
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(begun) <= 3 + WAITING * (os.cpu_count() or 1)
    results.close()
    with pytest.raises(ZeroDivisionError):
        [*in_order(lambda item: 1 / item, range(9))]


def test_files_are_looked_through_once(cells, tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    first = datasets.load(options(cells, device_cache_mb=0), 0)
    with monkeypatch.context() as patch:
        patch.setattr(reading, '_pictures', lambda *_: pytest.fail('looked through again'))
        again = datasets.load(options(cells, device_cache_mb=0), 0)
    assert first.origin == again.origin
    (index,) = (tmp_path / 'streams').iterdir()
    index.write_bytes(index.read_bytes()[:-50])
    assert datasets.load(options(cells, device_cache_mb=0), 0).origin == first.origin
    assert stream_index.read(index, [], COUNT) is None  # of other files


def test_damage_while_cells_are_read_is_told(cells, tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    images = datasets.load(options(cells, device_cache_mb=0), 0).images
    (file,) = tmp_path.rglob('*array_record*')
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    file.write_bytes(content)
    with pytest.raises(UserError, match='part of the cache: delete it and give the same command again'):
        images[:]


def stop_at(step, monkeypatch, config, folder):
    """A streaming run that ends within an epoch, with the checkpoints of its steps."""
    given = batch_sources.StreamedCells.batches

    def stopping(cells, order):
        for number, batch in enumerate(given(cells, order)):
            if number == step:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(batch_sources.StreamedCells, 'batches', stopping)
        with pytest.raises(KeyboardInterrupt):
            run(config, folder, stream=True)


def test_two_epochs_have_the_losses_of_memory_bit_for_bit_resumed_within_one_too(config, tmp_path, monkeypatch):
    memory = run(config, tmp_path / 'held', stream=False)
    stop_at(6, monkeypatch, config, tmp_path / 'read')
    streaming = run(config, tmp_path / 'read', stream=True)
    assert json.loads((streaming / 'results.json').read_text())['train']['resumed_after_step'] == 6
    assert written(memory) == written(streaming)
    assert len(written(memory)[0]) > 8
    sizes = [(folder / 'report.html').stat().st_size for folder in (memory, streaming)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize('further', [
    {'loss.robust': 'group_dro', 'gradients.every': 3, 'data.equalize': 'batches'},
    {'model.freeze': '(?!head/).*', 'augment.rotate': 0.0, 'augment.mirror': False, 'augment.light': 0.0,
     'predict.turns': 2, 'calibration.fit': 'validation', 'calibration.unlike': 'knn'},
], ids=['balanced', 'frozen'])  # fmt: skip
def test_other_ways_of_training_are_the_same_too(config, tmp_path, monkeypatch, further):
    memory = run(config, tmp_path / 'held', stream=False, **further)
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'another'))
    streaming = run(config, tmp_path / 'read', stream=True, **further)
    assert bool([*(tmp_path / 'another').rglob('rows-*.npz')]) == ('model.freeze' in further)
    assert written(memory) == written(streaming)


def test_what_needs_the_cells_in_memory_is_told_at_once_before_they_are_read(config, tmp_path, monkeypatch):
    further = {'data.stain': 'macenko', 'data.crop': 32, 'augment.copies': 'published'}
    with pytest.raises(UserError) as told:
        run(config, tmp_path / 'run', stream=True, **further)
    assert len(told.value.problems) == 3
    for said, field in zip(told.value.problems, further, strict=True):
        assert said.startswith(f'config.{field}={further[field]} needs all cells in memory')
    assert not [*(tmp_path / 'cache').rglob('*.array_record*')]


def test_a_set_streams_above_the_limit_which_is_a_part_of_the_memory():
    assert memory_limit.streams(1000, 100, 29.9)
    assert not memory_limit.streams(1000, 100, 30.0)
    assert not memory_limit.streams(10**9, 100, math.inf)
    assert 10 < memory_limit.comfortable_mb() < 1e7
