"""The Python of README.md, run as it stands there."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from alljax import config, models, predict
from alljax.config import resolve
from alljax.errors import UserError
from alljax.runs import experiment, network

README = (Path(__file__).parents[1] / 'README.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


@pytest.fixture(autouse=True)
def no_more_networks_than_before():
    before = dict(models.MODELS)
    yield
    models.MODELS.clear()
    models.MODELS.update(before)


def block(text):
    (found,) = [block for block in BLOCKS if text in block]
    return found


def test_a_linen_module_of_the_user_s_own_is_trained_and_predicts(tmp_path, monkeypatch, drawn):
    path = tmp_path / 'mine.py'
    path.write_text(block("MODELS['mine']"))
    values = config.load(path)
    given = {'epochs': '2', 'data.cells': '60'}
    config.override(values, given)
    run = experiment.run(resolve.resolve(values, given), tmp_path / 'run')
    assert network.load(run).model.name == 'mine'
    del models.MODELS['mine']
    with pytest.raises(UserError, match="there is no network 'mine'"):
        network.load(run)
    assert predict.main([str(run), str(next(drawn.rglob('*.tif'))), '--config', str(path)]) == 0


def test_an_nnx_module_joins_likewise():
    exec(block("MODELS['theirs']"), {'__name__': 'theirs'})
    model = models.create('theirs', 3)
    variables = model.init(jax.random.key(0))
    assert variables['params']['head']['kernel'].shape == (16, 3)
    image = jax.random.normal(jax.random.key(1), (2, 64, 64, 3))
    logits = model.apply(variables, image)
    assert logits.shape == (2, 3)
    gradient = jax.grad(lambda params: model.apply({'params': params}, image, train=True).sum())(variables['params'])
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_both_take_few_lines():
    for text in ("MODELS['mine']", "MODELS['theirs']"):
        code = block(text).partition('def get_config')[0]
        lines = [line for line in code.splitlines() if line.strip() and not line.startswith(('import', 'from'))]
        assert len(lines) <= 10


def test_the_example_of_gradient_analysis_runs_and_is_short():
    code = block('gradients.integrated')
    found = {}
    exec(code, found)
    assert found['heat'].shape == (20, 8, 8, 3)
    assert jnp.abs(found['gap']).max() < 1e-4
    assert found['influence'].shape == (2, 20)
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith(('import', 'from'))]) <= 15
