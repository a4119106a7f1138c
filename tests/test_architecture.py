"""The shape of the project: who imports whom, what a run loads, and what no file may hold."""

import ast
import re
import subprocess
import sys
import tomllib
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


def test_no_import_contract_has_a_waiver_and_every_room_has_a_place():
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['importlinter']
    assert not [contract['name'] for contract in settings['contracts'] if 'ignore_imports' in contract]
    (layers,) = (contract['layers'] for contract in settings['contracts'] if contract['type'] == 'layers')
    placed = {name.removeprefix('alljax.') for layer in layers for name in layer.split(' | ')}
    rooms = {path.name for path in (ROOT / 'alljax').iterdir() if (path / '__init__.py').is_file()}
    assert placed == rooms | {'errors'}


def test_no_module_lies_beside_the_rooms():
    assert {path.name for path in (ROOT / 'alljax').glob('*.py')} == {'__init__.py', '__main__.py', 'errors.py'}


def test_what_takes_many_values_takes_a_record():
    """Keyword-only options of a published method are named where they are given, so they do not count."""
    crowded = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                given = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ('self', 'cls')]
                if len(given) > 6 and path.name != 'torch_pickle.py':  # its functions are called as torch's own
                    crowded.append(f'{path.relative_to(ROOT)}: {node.name}')
    assert not crowded


def test_a_docstring_begins_with_the_thing():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                first = (ast.get_docstring(node) or 'A').split()[0]
                assert first not in {'What', 'Whether', 'Which', 'How', 'Why', 'Where', 'When'}, f'{path}: {node}'


@pytest.mark.slow
def test_no_module_of_the_package_loads_tensorflow_or_torch():
    names = ['.'.join(path.relative_to(ROOT).with_suffix('').parts) for path in SOURCES if path.name != '__main__.py']
    modules = ', '.join(name.removesuffix('.__init__') for name in names)
    code = f'import sys, {modules}; assert not {{"tensorflow", "torch", "keras"}} & set(sys.modules)'
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def loaded(names, modules):
    """The modules of these names that a process loads with others."""
    code = f'import sys, {modules}; sys.exit(str({names} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stderr.strip()


def test_a_network_s_training_and_prediction_wait_for_no_library_of_other_work():
    """Each of them takes a second or more to import, in every process that trains, predicts or searches fields."""
    others = {'sklearn', 'matplotlib', 'pandas', 'tensorflow_datasets', 'scipy.stats', 'scipy.ndimage', 'scipy.special'}
    others |= {f'skimage.{part}' for part in ('color', 'filters', 'measure', 'morphology', 'segmentation')}
    trains = 'alljax.commands.train, alljax.sweep, alljax.runs.experiment, alljax.runs.network_kind'
    assert loaded(others, f'{trains}, alljax.smear, alljax.commands.smear') == 'set()'


def test_the_search_of_fields_waits_for_no_jax():
    """Its processes do not need it, and `alljax smear` has them begin before it loads what a network needs."""
    modules = 'alljax.fields.annotations, alljax.fields.field_search, alljax.data.image_files'
    assert loaded({'jax', 'flax', 'sklearn'}, modules) == 'set()'


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
