"""`alljax try`: the packaged config on a folder of one's own."""

import numpy as np
import pytest
from PIL import Image

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


@pytest.mark.parametrize(
    ('name', 'more'), [('try', ('--config.model.name=alexnet', '--config.model.init=random')), ('advise', ())]
)
def test_remedies_are_those_of_a_command_that_takes_a_folder(name, more, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for place in ('original/a', 'original/b', 'resized/a', 'resized/b'):
        (tmp_path / place).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / place / 'x.png')
    for folder, remedy in ((tmp_path, f'(alljax {name} {tmp_path}/original)'), (tmp_path / 'none', 'correct FOLDER')):
        with pytest.raises(SystemExit):
            commands.run(name, [str(folder), *more])
        said = capsys.readouterr().err
        assert remedy in said
        assert '--config' not in said


def test_its_config_is_the_one_of_the_checkout():
    values = config.load(try_cells.CONFIG)
    assert config.flat(values) == config.flat(config.load('configs/my_cells.py'))
    assert (values.model.name, values.data.groups, values.split.folds) == ('auto', 'audit', 0)
