"""`alljax` itself: the list of commands, the help of each, and every way in that hands over to it."""

import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import alljax
from alljax import __main__ as program
from alljax.commands import COMMANDS
from alljax.runs import environment

ROOT = Path(__file__).parents[2]
ENTRIES = {
    'alljax.predict': 'predict',
    'alljax.gradients': 'explain',
    'alljax.data.audit': 'audit',
    'alljax.weights': 'weights',
    'alljax.baselines': 'baselines',
    'alljax.data.synthetic': 'synthetic',
    'alljax.evaluation.paper': 'paper',
}


def said_by(name, capsys):
    main = importlib.import_module(COMMANDS[name].module).main
    if name == 'train':
        assert main(['--help']) == 0
    else:
        with pytest.raises(SystemExit) as done:  # argparse's way
            main(['--help'])
        assert done.value.code == 0
    return capsys.readouterr().out


def test_the_list_is_complete(capsys):
    files = {path.stem for path in (ROOT / 'alljax' / 'commands').glob('*.py')} - {'__init__'}
    assert {command.module for command in COMMANDS.values()} == {f'alljax.commands.{name}' for name in files}
    assert program.main(['--help']) == 0
    said, width = capsys.readouterr().out, max(map(len, COMMANDS))
    for name, command in COMMANDS.items():
        assert f'  {name:{width}}  {command.help}\n' in said


@pytest.mark.parametrize('name', COMMANDS)
def test_every_help_ends_with_an_example(name, capsys):
    text, _, example = said_by(name, capsys).rpartition('\nexample:\n')
    assert example.startswith(f'  alljax {name}')
    assert text.startswith(f'usage: alljax {name}')
    for word in example.split():
        assert not word.startswith('--') or word.partition('=')[0].partition('.')[0] in text


def test_help_that_is_looked_up_is_that_of_the_rooms(capsys):
    from alljax.data.audit import THRESHOLD
    from alljax.explain.methods import METHODS

    assert f'needs a score of {THRESHOLD}' in said_by('audit', capsys)
    assert ', '.join(METHODS) in ' '.join(said_by('explain', capsys).split())


@pytest.mark.filterwarnings('ignore::RuntimeWarning')  # of runpy: the module is loaded already
@pytest.mark.parametrize(('module', 'name'), ENTRIES.items())
def test_a_room_s_own_entry_prints_the_same_help(module, name, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [module, '--help'])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)  # or a user's Python would find the checked code in its place
    with pytest.raises(SystemExit) as done:
        runpy.run_module(module, run_name='__main__')
    assert done.value.code == 0
    assert capsys.readouterr().out == said_by(name, capsys)


def test_launch_py_is_train(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['launch.py', '--help'])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(ROOT / 'launch.py'), run_name='__main__')
    assert done.value.code == 0
    assert capsys.readouterr().out == said_by('train', capsys)


def test_the_version_and_what_is_no_command(capsys):
    assert program.main(['--version']) == 0
    assert capsys.readouterr().out == f'alljax {alljax.__version__}\n'
    with pytest.raises(SystemExit) as caught:
        program.main(['prdict', 'x'])
    assert caught.value.code == 2
    assert "alljax: prdict: is no command, did you mean 'predict'?; they are try, " in capsys.readouterr().err
    assert program.main([]) == 2
    assert 'commands:' in capsys.readouterr().err


def test_a_mistake_in_the_arguments_is_told_before_anything_heavy_is_loaded():
    code = (
        'import sys; from alljax import __main__ as program\n'
        'try: program.main(["predict"])\n'
        'except SystemExit as done: assert done.code == 2\n'
        'assert not {"jax", "numpy", "scipy"} & set(sys.modules)'
    )
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'usage: alljax predict' in result.stderr


def test_a_run_folder_says_what_to_type(monkeypatch):
    for argv, expected in (
        (['launch.py', '--config=a b.py'], "python launch.py '--config=a b.py'"),
        (['alljax', 'baselines', 'putzu2014', 'cells'], 'alljax baselines putzu2014 cells'),
    ):
        monkeypatch.setattr(sys, 'argv', argv)
        assert environment.command() == expected


def test_the_package_offers_what_people_import():
    from alljax.runs.load import load

    assert sorted(alljax.__all__) == dir(alljax) == ['__version__', 'gradients', 'load', 'models']
    assert alljax.load is load
    assert alljax.models.MODELS
    assert alljax.gradients.saliency
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        alljax.nothing  # noqa: B018


@pytest.mark.parametrize(('arguments', 'code'), [('weights --list', 1), ('--help', 0)])
def test_a_reader_that_has_seen_enough_ends_it_without_a_traceback(arguments, code):
    command = f'{sys.executable} -B -m alljax {arguments}'
    with subprocess.Popen(
        command.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as program:
        program.stdout.close()
        assert program.stderr.read() == ''
    assert program.returncode == code
