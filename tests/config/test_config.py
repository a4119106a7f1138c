from pathlib import Path

import pytest

from alljax import config as fields
from alljax.config import resolve
from alljax.errors import UserError
from configs import common, detection, folder, subtype


def resolved(given, config=None):
    config = config or common.get_config()
    fields.override(config, given)
    return resolve.resolve(config, given)


def test_the_task_configs_hold_the_paper_s_settings():
    for module, task in ((detection, 'detection'), (subtype, 'subtype')):
        values = fields.flat(module.get_config())
        expected = {
            'data.task': task,
            'epochs': 100,
            'batch_size': 28,
            'model.name': 'alexnet',
            'model.init': 'imagenet',
            'model.head': 1024,
            'optimizer.name': 'sgd',
            'optimizer.momentum': 0.9,
            'optimizer.l2': 1e-4,
            'optimizer.rate': 1e-4,
            'optimizer.factors': (('head/.*', 20.0), ('.*', 1.0)),
            'split.protocol': 'grouped',
            'split.test': 0.4,
            'split.validation': 0.0,
            'data.equalize': 'undersample',
        }
        assert {key: values[key] for key in expected} == expected
    assert folder.get_config().data.name == 'folder'


def test_every_unknown_key_and_wrong_value_is_told_with_the_nearest_name():
    with pytest.raises(UserError) as caught:
        fields.override(
            common.get_config(), {'epoch': '3', 'data.rot': 'x', 'batch_size': 'many', 'augment.mirror': '3'}
        )
    said = caught.value.problems
    assert 'did you mean --config.epochs?' in said[0]
    assert 'did you mean --config.data.root?' in said[1]
    assert 'expected a whole number' in said[2]
    assert 'expected true or false' in said[3]


def test_values_keep_the_type_of_their_field():
    config = common.get_config()
    fields.override(config, {'split.test': '1', 'augment.mirror': 'false', 'data.root': '2024', 'epochs': '3',
                             'optimizer.factors': "(('.*', 2.0),)"})  # fmt: skip
    assert (config.split.test, config.augment.mirror, config.data.root, config.epochs) == (1.0, False, '2024', 3)
    assert config.optimizer.factors == (('.*', 2.0),)


def test_values_that_no_run_could_use_are_told_together():
    with pytest.raises(UserError) as caught:
        resolved({'split.protocol': 'groupd', 'split.test': '1.5', 'model.name': 'alexnt', 'stop.patience': '3',
                 'model.init': 'random'})  # fmt: skip
    said = str(caught.value)
    assert "config.split.protocol is 'groupd', did you mean 'grouped'?; it may be 'grouped', 'random'" in said
    assert "config.model.name is 'alexnt', did you mean 'alexnet'?; it may be 'alexnet', " in said
    assert 'config.split.test is 1.5; it has to lie between 0.05 and 0.95' in said
    assert 'config.stop.patience needs a validation fold' in said


def test_a_value_of_another_type_in_a_config_file_is_a_sentence():
    config = common.get_config()
    fields.set_field(config, 'model.name', 3)
    with pytest.raises(UserError, match=r'config\.model\.name is 3; it may be'):
        fields.check(config)


def test_real_data_never_starts_from_random_weights_in_silence(tmp_path):
    with pytest.raises(UserError) as caught:
        resolved({'data.root': str(tmp_path)})
    said = str(caught.value)
    assert 'alexnet-owt-7be5be79.pth by hand and continue with: python -m alljax.weights alexnet --file' in said
    assert 'or start from random weights with --config.model.init=random' in said


def test_the_start_is_the_given_folder_else_imagenet_else_random(tmp_path, monkeypatch):
    monkeypatch.setattr(resolve.weight_cache, 'obtain', lambda name, weights: Path(f'/cache/{name}-{weights}'))
    for given, source in (
        ({'model.init': str(tmp_path)}, tmp_path),
        ({}, Path('/cache/alexnet-')),
        ({'model.init': 'imagenet:IMAGENET1K_V1', 'model.name': 'resnet50'}, Path('/cache/resnet50-IMAGENET1K_V1')),
        ({'model.init': 'random'}, None),
    ):
        for data in ({}, {'data.root': str(tmp_path)}):
            found = resolved(given | data)
            assert found.start.source == source
            assert (found.training.optimizer.name == 'adamw') == (source is None)


def test_a_demo_that_began_without_weights_goes_on_so(monkeypatch):
    monkeypatch.setattr(resolve.weight_cache, 'obtain', lambda name, weights: Path('/cache/alexnet'))
    found = resolve.resolve(common.get_config(), (), {'model.init': 'random'})
    assert found.start.source is None
    assert found.start.how == 'random, since ImageNet weights could not be had when the run began'
    assert resolve.resolve(common.get_config(), (), {'model.init': 'imagenet'}).start.source


def test_a_network_without_dropout_gets_none_from_the_random_start(tmp_path):
    found = resolved({'data.root': str(tmp_path), 'model.init': 'random', 'model.name': 'resnet18'})
    assert found.network.options['dropout'] is None
    assert resolved({'model.init': 'random'}).network.options['dropout'] == 0.2
    assert resolved({'model.init': 'random', 'model.dropout': 'none'}).network.options['dropout'] is None


def test_a_random_start_has_its_own_optimizer_unless_the_user_says_otherwise(tmp_path):
    found = resolved({'data.root': str(tmp_path), 'model.init': 'random', 'optimizer.rate': '0.5'})
    assert not found.demo
    assert found.training.optimizer.name == 'adamw'
    assert found.training.optimizer.rate == 0.5
    assert found.training.epochs == common.get_config().when.random.epochs


def test_without_data_it_is_a_demo_that_says_how_it_started(monkeypatch):
    def none(name, weights):
        raise UserError(f'{name}: cannot be downloaded')

    monkeypatch.setattr(resolve.weight_cache, 'obtain', none)
    found = resolved({'epochs': '2'})
    assert found.demo
    assert found.start.how.startswith('random, since ImageNet')
    assert found.fields['model.init'] == 'random'
    assert found.training.epochs == 2
    assert found.data.cells == common.get_config().when.demo.data.cells


def test_drawn_cells_named_as_a_folder_are_a_demo_too(drawn):
    assert resolved({'data.root': str(drawn)}).demo


def test_missing_and_empty_config_files_are_told(tmp_path):
    with pytest.raises(UserError, match='there is no such file; configs here are'):
        fields.load(tmp_path / 'absent.py')
    (tmp_path / 'empty.py').write_text('x = 1\n')
    with pytest.raises(UserError, match=r'has to define get_config\(\)'):
        fields.load(tmp_path / 'empty.py')


def test_unknown_parts_of_a_classical_system_are_told_together():
    values = common.get_config()
    fields.override(
        values,
        {
            'baseline.system': 'putzu',
            'baseline.features': "('glcm', 'colour')",
            'baseline.classify': '()',
            'baseline.segment': 'watershed',
            'baseline.components': '6',
        },
    )
    assert values.baseline.components == 6
    with pytest.raises(UserError) as error:
        fields.check(values)
    said = str(error.value)
    assert "config.baseline.system is 'putzu', did you mean 'putzu2014'?" in said
    assert "config.baseline.features names 'colour', did you mean 'color'?" in said
    assert 'config.baseline.classify is (), expected one name at least' in said
    assert "config.baseline.segment is 'watershed'" in said
    fields.override(values, {'baseline.segment': 'none'})
    assert values.baseline.segment is None
    with pytest.raises(UserError, match='expected a tuple such as'):
        fields.override(values, {'baseline.features': 'glcm'})


def test_a_field_that_is_none_in_a_config_file_is_one_that_was_not_set():
    values = common.get_config()
    fields.set_field(values, 'optimizer.clip', None)
    fields.check(values)
    fields.set_field(values, 'optimizer.name', None)
    with pytest.raises(UserError, match=r"config\.optimizer\.name is None.*it may be 'sgd', 'adamw'"):
        fields.check(values)


def test_the_data_set_is_looked_at_when_it_is_known(tmp_path):
    values = common.get_config()
    values.data.name, values.data.task = 'folder', 'classes'
    fields.check(values, data=False)  # of a sweep over folders
    with pytest.raises(UserError, match=r'config\.data\.root is empty'):
        fields.check(values)
    values.data.root = str(tmp_path)
    fields.check(values)


def test_a_config_that_is_no_python_is_told(tmp_path):
    (tmp_path / 'notes.md').write_text('# Notes\nan unterminated "string\n')
    with pytest.raises(UserError, match=r'--config=.*notes\.md: line 2: is no Python \(unterminated string'):
        fields.load(tmp_path / 'notes.md')
