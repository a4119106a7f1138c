"""`alljax try`: the packaged config on a folder of one's own."""

from alljax import commands, config
from alljax.commands import train, try_cells


def test_it_trains_with_the_packaged_config(monkeypatch):
    given = []
    monkeypatch.setattr(train, 'main', lambda arguments: given.append(arguments) or 0)
    assert commands.run('try', ['cells', '--workdir', 'out', '--jobs=2', '--config.epochs=3']) == 0
    assert given == [
        [f'--config={try_cells.CONFIG}', '--config.data.root=cells', '--workdir=out', '--jobs=2', '--config.epochs=3']
    ]


def test_its_config_is_the_one_of_the_checkout():
    values = config.load(try_cells.CONFIG)
    assert config.flat(values) == config.flat(config.load('configs/my_cells.py'))
    assert (values.model.name, values.data.groups, values.split.folds) == ('auto', 'audit', 0)
