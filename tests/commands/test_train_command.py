"""`alljax train`: mistakes on the command line; what a run does is told in test_launch.py."""

import pytest
from helpers import needs_submitit

from alljax import commands
from alljax.commands import train
from alljax.errors import UserError


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--config.epoch=3'], 'did you mean --config.epochs?'),
        (['--config.split.protocol=rndom'], "it may be 'grouped', 'random'"),
        (['--wrkdir=x'], 'Did you mean: workdir'),
        (['--config.epochs', '3'], 'expected --config.epochs=value'),
        (['--config.data.root=/absent'], '/absent: there is no such folder'),
        (['--executor=slrum'], 'value should be one of <local|slurm>'),
        (['--slurm.partition=gpu'], '--slurm.partition: goes with --executor'),
        (['--resubmit'], '--resubmit: goes with --executor'),
        (['--executor=local', '--slurm.mem=4G'], '--slurm.mem: goes with --executor=slurm'),
        pytest.param(['--executor=local', '--config.data.cells=40'], 'is for several runs', marks=needs_submitit),
    ],
)
def test_mistakes_on_the_command_line_are_sentences(arguments, expected, capsys):
    with pytest.raises(SystemExit) as caught:
        commands.run('train', ['--config=configs/subtype.py', '--config.model.init=random', *arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert expected in said
    assert 'Traceback' not in said


def test_flags_of_an_earlier_call_are_forgotten():
    config = '--config=configs/subtype.py'
    with pytest.raises(UserError, match='50: was not understood'):
        train.main([config, '50'])
    with pytest.raises(UserError, match='--config is missing'):
        train.main(['--dry_run'])


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr('alljax.sweep.launch', interrupted)
    with pytest.raises(SystemExit) as caught:
        commands.run('train', ['--config=configs/subtype.py'])
    assert caught.value.code == 130
    assert 'the same command with the same --workdir goes on from the last save' in capsys.readouterr().err
