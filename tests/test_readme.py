"""Every page of the repository: its links, its commands, and its Python, which is run as it stands there."""

import re
import subprocess
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import alljax
from alljax import config, models
from alljax.baselines import SEGMENTS, SYSTEMS
from alljax.commands import COMMANDS, predict
from alljax.config import resolve
from alljax.data.datasets import DATASETS
from alljax.errors import UserError
from alljax.explain import METHODS
from alljax.runs import experiment

ROOT = Path(__file__).parents[1]
MODELS = models.MODELS


def tracked_pages():
    listed = subprocess.run(['git', 'ls-files', '*.md'], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [path.name for path in ROOT.glob('*.md')]
    return {name: (ROOT / name).read_text() for name in names if (ROOT / name).is_file()}


PAGES = tracked_pages()
EACH_PAGE = pytest.mark.parametrize('page', PAGES)
EXAMPLES = {  # a text that one block of a page alone holds
    'data set': ('README.md', "DATASETS['mine']"),
    'network': ('README.md', "MODELS['mine']"),
    'system': ('README.md', "SYSTEMS['mine']"),
    'method': ('README.md', "METHODS['mine']"),
    'nnx': ('alljax/models/README.md', "MODELS['theirs']"),
    'load': ('alljax/models/README.md', 'alljax.load('),
}
GRADIENTS = 'alljax/gradients/README.md'
NETWORKS = 'alljax/gradients/networks.md'  # tests/gradients/test_networks_page.py runs its blocks


def python_of(page):
    return re.findall(r'```python\n(.*?)```', PAGES[page], re.DOTALL)


def example(name):
    page, text = EXAMPLES[name]
    (found,) = [block for block in python_of(page) if text in block]
    return found


def code(page):
    """What a page shows as commands: the lines of its bash blocks, and what stands between backticks."""
    blocks = re.findall(r'```bash\n(.*?)```', PAGES[page], re.DOTALL)
    spans = re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', PAGES[page], flags=re.DOTALL))
    return [line.strip() for block in blocks for line in block.splitlines()] + spans


def anchors(page):
    headings = re.findall(r'^#+ (.*)$', re.sub(r'```.*?```', '', PAGES[page], flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    dictionaries = (DATASETS, MODELS, SEGMENTS, SYSTEMS, METHODS)
    before = [set(dictionary) for dictionary in dictionaries]
    yield
    for dictionary, names in zip(dictionaries, before, strict=True):
        for name in set(dictionary) - names:
            del dictionary[name]


@pytest.fixture(scope='module')
def mine(tmp_path_factory):
    """Writes the example of a name as mine.py; gives its path."""

    def write(name):
        path = tmp_path_factory.mktemp(name.replace(' ', '_')) / 'mine.py'
        path.write_text(example(name))
        return path

    return write


def train(path, folder, given):
    """The run folder of a config file."""
    values = config.load(path)
    config.override(values, given)
    return experiment.run(resolve.resolve(values, given), folder)


@pytest.fixture(scope='module')
def run(tmp_path_factory, mine):
    """The network of the example, hardly trained, in runs/my-run."""
    folder = tmp_path_factory.mktemp('home') / 'runs' / 'my-run'
    yield train(
        mine('network'), folder, {'epochs': '1', 'data.cells': '40', 'data.size': '64', 'report.heat_maps': 'False'}
    )
    MODELS.pop('mine', None)


def test_the_readme_is_short():
    assert len(PAGES['README.md'].splitlines()) <= 130


def test_pages_stand_beside_the_code():
    assert {
        'alljax/README.md', 'alljax/data/README.md', 'alljax/models/README.md', 'alljax/weights/README.md',
        'alljax/gradients/README.md', 'alljax/baselines/README.md', 'configs/README.md', 'tests/README.md',
        'tests/benchmarks/RESULTS.md',
    } <= set(PAGES)  # fmt: skip


@EACH_PAGE
def test_links_lead_somewhere(page):
    text = re.sub(r'```.*?```', '', PAGES[page], flags=re.DOTALL)
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'\w+:', link):
            continue
        file, _, anchor = link.partition('#')
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.resolve().relative_to(ROOT).as_posix()), link


@EACH_PAGE
def test_commands_exist(page):
    for line in code(page):
        for file in re.findall(r'--config[= ](\S+?\.py)\b', line):
            assert file == 'mine.py' or (ROOT / file).is_file(), line
        for file in re.findall(r'\bpython ([\w/]+\.py)\b', line):
            assert (ROOT / file).is_file(), line
        for module in re.findall(r'\bpython -m (alljax[\w.]*)', line):
            path = ROOT / module.replace('.', '/')
            assert path.with_suffix('.py').is_file() or (path / '__main__.py').is_file(), line
        for name in re.findall(r'(?:^|&& )alljax (\w+)', line):
            assert name in COMMANDS, line


def test_every_experiment_has_its_command():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs').rglob('*.py')} - {'configs/common.py'}
    shown = set(re.findall(r'--config=(configs/\S+?\.py)', '\n'.join(code('configs/README.md'))))
    assert shown == files


def test_the_results_of_the_readme_are_those_of_the_results_page():
    (table,) = re.findall(r'\| cells \|.*?\n\n', PAGES['README.md'], re.DOTALL)
    numbers = re.findall(r'[\d.]+ % \([\d.]+ to [\d.]+', table)
    assert len(numbers) >= 8
    for number in numbers:
        assert number in PAGES['tests/benchmarks/RESULTS.md'], number


def test_every_block_of_python_is_run():
    run = [example(name) for name in EXAMPLES] + python_of(GRADIENTS) + python_of(NETWORKS)
    assert sorted(run) == sorted(block for page in PAGES for block in python_of(page))


def test_the_map_names_the_rooms_in_the_order_of_the_import_contract():
    contracts = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['importlinter']['contracts']
    (layers,) = [contract['layers'] for contract in contracts if contract['type'] == 'layers']
    rows = [re.findall(r'\[(\w+)[^\]]*\]', row.split(' | ', 1)[0].replace('\\|', '')) for row in
            re.findall(r'^\| (\[.*)$', PAGES['alljax/README.md'], re.MULTILINE)]  # fmt: skip
    assert [set(row) for row in rows] == [set(re.findall(r'alljax\.(\w+)', layer)) for layer in layers]


@pytest.mark.parametrize('name', ['data set', 'network', 'nnx', 'system', 'method'])
def test_what_joins_takes_few_lines(name):
    lines = example(name).partition('def get_config')[0].splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith(('import', 'from'))]) <= 10


@pytest.mark.slow
def test_a_linen_module_of_the_user_s_own_is_trained_and_predicts(run, mine, drawn):
    assert alljax.load(run).model.name == 'mine'
    del MODELS['mine']
    with pytest.raises(UserError, match="there is no network 'mine'"):
        alljax.load(run)
    assert predict.main([str(run), str(next(drawn.rglob('*.tif'))), '--config', str(mine('network'))]) == 0


def test_an_nnx_module_joins_likewise():
    exec(example('nnx'), {'__name__': 'theirs'})
    model = models.create('theirs', 3)
    variables = model.init(jax.random.key(0))
    assert variables['params']['head']['kernel'].shape == (16, 3)
    image = jax.random.normal(jax.random.key(1), (2, 64, 64, 3))
    assert jax.eval_shape(model.apply, variables, image).shape == (2, 3)
    loss = lambda params: model.apply({'params': params}, image, train=True).sum()  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(variables['params'])  # one program: many small ones take longer to compile
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_a_method_of_the_user_s_own_is_the_gradient_of_the_logit(mine, run):
    config.load(mine('method'))
    model, variables = alljax.load(run).model, alljax.load(run).variables
    x = jax.random.normal(jax.random.key(0), (2, model.input.size, model.input.size, 3))
    target = jnp.array([0, 2])
    found = METHODS['mine'].function(model, variables, x, target, None)
    one = [jax.grad(lambda x, n=n: model.apply(variables, x)[n, target[n]])(x)[n] for n in range(2)]
    np.testing.assert_allclose(found, jnp.abs(jnp.stack(one)).max(3), rtol=1e-3, atol=1e-6)


def test_a_run_is_loaded_in_a_line(run, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    found = {'image': jnp.zeros((1, 64, 64, 3)), 'layer': 'Conv_0'}
    exec(example('load'), found)
    assert found['logits'].shape == (1, 4)
    assert found['maps'].shape == (1, 16, 16, 16)


@pytest.mark.slow
def test_the_examples_of_gradient_analysis_run_in_their_order_and_the_first_is_short():
    blocks, names = python_of(GRADIENTS), {}
    for block in blocks:
        exec(block, names)
    assert names['found'].map.shape == (20, 8, 8, 3)
    assert jnp.abs(names['found'].gap).max() < 1e-4
    assert names['influence'].shape == (2, 20)
    lines = [line for line in blocks[0].splitlines() if line.strip() and not line.startswith(('import', 'from'))]
    assert len(lines) <= 15
