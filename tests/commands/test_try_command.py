"""`alljax try`: the packaged config on a folder of one's own."""

import pytest

from alljax import commands, config
from alljax.commands import train, try_cells
from alljax.errors import UserError


def test_it_trains_with_the_packaged_config(monkeypatch):
    given = []
    monkeypatch.setattr(train, 'main', lambda arguments: given.append(arguments) or 0)
    assert commands.run('try', ['cells', '--workdir', 'out', '--jobs=2', '--config.epochs=3']) == 0
    assert given == [
        [f'--config={try_cells.CONFIG}', '--config.data.root=cells', '--workdir=out', '--jobs=2', '--config.epochs=3']
    ]


@pytest.mark.parametrize('other', ['--config=mine.py', '--config.data.root=elsewhere'])
def test_what_it_names_itself_is_not_overruled_silently(other):
    with pytest.raises(UserError, match='names its FOLDER'):
        try_cells.main(['cells', other])


def test_its_config_is_the_one_of_the_checkout():
    values = config.load(try_cells.CONFIG)
    assert config.flat(values) == config.flat(config.load('configs/my_cells.py'))
    assert (values.model.name, values.data.groups, values.split.folds) == ('auto', 'audit', 0)
