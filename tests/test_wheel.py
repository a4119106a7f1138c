"""The package as a wheel: built, installed where no checkout is, and every command given in an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from alljax.commands import COMMANDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CONFIG = '''"""A network of a twentieth of the width on drawn cells."""

from alljax import config


def get_config():
    values = config.defaults()
    values.data.name, values.data.size = 'synthetic', 64
    values.model.init, values.model.width, values.model.head, values.model.size = 'random', 0.05, 8, 64
    values.model.freeze, values.report.heat_maps = '(?!head/).*', False
    return values
'''
SMALL = """
from alljax import config


def get_config():
    values = config.defaults()
    values.data.size = 96
    return values
"""
ALL = """
synthetic drawn --cells 40
audit drawn
baselines chatap2014 drawn --workdir system --config small.py
predict system {image}
train --config=mine.py --config.epochs=1 --config.data.cells=40 --workdir=run
predict run {image} --csv out.csv
explain run {image} --methods saliency --to pages
weights --list
baselines --list
paper
"""
EACH = """
import contextlib, io, json, sys
from alljax import __main__
printed = []
for command in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = __main__.main(command)
        except SystemExit as end:
            code = end.code
    assert not code, (command, code, out.getvalue())
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    for name in ('alljax', 'third_party'):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('pyproject.toml', 'README.md'):
        shutil.copy(ROOT / name, source / name)
    how = ['--no-build-isolation'] if can_build() else []  # else pip downloads what builds
    said(sys.executable, '-m', 'pip', 'wheel', '--no-deps', *how, '-w', folder, source)
    (found,) = folder.glob('*.whl')
    return found


@pytest.fixture(scope='module')
def programs(wheel, tmp_path_factory):
    """The bin/ of a fresh environment that sees the libraries of this one, but not the checkout."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, symlinks=True)
    python = folder / 'bin' / 'python'
    said(sys.executable, '-m', 'pip', '--python', python, 'install', '--no-deps', '--no-index', wheel)
    (site,) = folder.glob('lib/python*/site-packages')
    # Python reads no .pth files in folders named by a .pth file: an editable install there leads nowhere
    libraries = dict.fromkeys(sysconfig.get_path(kind) for kind in ('purelib', 'platlib'))
    (site / 'libraries.pth').write_text('\n'.join(libraries))
    assert said(python, '-c', 'import alljax; print(alljax.__file__)', where=folder).startswith(str(site))
    return folder / 'bin'


@pytest.fixture(scope='module')
def told(programs, tmp_path_factory):
    """What each of some commands prints, given after each other by one process in a folder that was empty at first."""
    folder = tmp_path_factory.mktemp('elsewhere')
    (folder / 'mine.py').write_text(CONFIG)
    (folder / 'small.py').write_text(SMALL)
    image = 'drawn/ALL_IDB2/img/Im001_1.tif'
    commands = [line.split() for line in ALL.format(image=image).splitlines() if line]
    commands += [[name, '--help'] for name in COMMANDS]
    printed = json.loads(said(programs / 'python', '-c', EACH, json.dumps(commands), where=folder).splitlines()[-1])
    return folder, {' '.join(command): text for command, text in zip(commands, printed, strict=True)}


def test_it_holds_every_file_of_the_package(wheel):
    listed = subprocess.run(['git', 'ls-files', 'alljax'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip('this is no git checkout')
    files = {name for name in listed.stdout.splitlines() if not name.endswith('.md')}
    with zipfile.ZipFile(wheel) as content:
        assert not files - {*content.namelist()}
        assert content.read('alljax/weights/published.csv') == (ROOT / 'third_party' / 'published.csv').read_bytes()


def test_every_command_has_its_help(programs, told):
    listed = said(programs / 'alljax', '--help', where=told[0])
    for name in COMMANDS:
        assert f'\n  {name} ' in listed
        assert f'example:\n  alljax {name}' in told[1][f'{name} --help']
    assert told[1]['weights --help'] == said(programs / 'python', '-m', 'alljax.weights', '--help')


def test_lists_and_the_paper(told):
    assert 'resnet50' in told[1]['weights --list']
    assert 'putzu2014' in told[1]['baselines --list']
    assert 'Tables 3 and 5: subtype' in told[1]['paper']


def printed(told, start):
    """What the command with this start prints."""
    (text,) = [text for command, text in told[1].items() if command.startswith(start)]
    return text


def test_a_folder_of_cells_is_audited_and_classified(told):
    folder, _ = told
    assert '40 drawn cells in drawn' in printed(told, 'synthetic drawn')
    assert '40 pictures, 0 repeated pairs' in printed(told, 'audit drawn')
    assert (folder / 'drawn' / 'ALL_IDB2' / 'audit.html').is_file()
    assert (folder / 'system' / 'report.html').is_file()
    assert 'Im001_1.tif: ' in printed(told, 'predict system')


def test_a_config_file_is_trained_and_the_run_predicts_and_explains(told):
    folder, _ = told
    assert (folder / 'run' / 'report.html').is_file()
    assert 'drawn/ALL_IDB2/img/Im001_1.tif: ' in printed(told, 'predict run')
    assert (folder / 'out.csv').is_file()
    assert 'written: pages/index.html' in printed(told, 'explain run')


def can_build():
    """Whether the setuptools that pyproject.toml asks for is here."""
    try:
        return int(version('setuptools').partition('.')[0]) >= 77
    except PackageNotFoundError:
        return False


def said(*command, where=None):
    """What a command prints; it has to succeed."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    result = subprocess.run([*map(str, command)], cwd=where, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f'{command}\n{result.stdout}\n{result.stderr}'
    return result.stdout
