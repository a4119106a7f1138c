"""The shape of the project: who imports whom, what a run loads, and what no file may hold."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / 'alljax').rglob('*.py'))


def tracked():
    listed = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip('this is no git checkout')
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_rooms_import_only_what_they_may():
    result = subprocess.run([Path(sys.executable).with_name('lint-imports')], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_no_module_of_the_package_loads_tensorflow_or_torch():
    names = ['.'.join(path.relative_to(ROOT).with_suffix('').parts) for path in SOURCES if path.name != '__main__.py']
    modules = ', '.join(name.removesuffix('.__init__') for name in names)
    code = f'import sys, {modules}; assert not {{"tensorflow", "torch", "keras"}} & set(sys.modules)'
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_top_level_is_the_user_s():
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith('.')} <= {
        'alljax', 'configs', 'tests', 'third_party', 'pyproject.toml', 'launch.py', 'README.md', 'LICENSE'
    }  # fmt: skip


def test_files_stay_small():
    assert not [path.name for path in SOURCES if len(path.read_text().splitlines()) > 300]
    assert len((ROOT / 'launch.py').read_text().splitlines()) < 60


def test_no_file_names_a_package_registry_or_a_machine():
    hosts = ('py' + 'pi.org', 'python' + 'hosted', 'npm' + 'js', 'extra-' + 'index', 'find-' + 'links')
    words = re.compile('|'.join(map(re.escape, (*hosts, '/' + 'work/', '/opt/' + 'wheels'))))
    for path in tracked():
        if path.suffix in ('.py', '.md', '.toml', '.css', '.jinja', ''):
            found = words.search(path.read_text(errors='ignore'))
            assert not found, f'{path}: {found[0]}'


def test_the_readme_s_commands_are_those_of_the_project():
    readme = (ROOT / 'README.md').read_text()
    first_screen = '\n'.join(readme.splitlines()[:30])
    assert "pip install -e '.[test]' && python launch.py --config=configs/subtype.py" in first_screen
    assert 'python -m pytest' in first_screen


def test_test_modules_have_names_of_their_own():
    names = [path.name for path in (ROOT / 'tests').rglob('test_*.py')]
    assert sorted(names) == sorted(set(names))  # pytest imports each by its name alone
