"""The summary of a real run, however small: it was trained, and its data are there again."""

import json
import shutil

import pytest

from alljax.commands import explain
from alljax.errors import UserError

pytestmark = pytest.mark.slow


def test_a_run_that_looked_at_its_gradients_shows_them(trained_run):
    rows = [json.loads(line) for line in (trained_run / 'metrics.jsonl').read_text().splitlines()]
    assert any('noise_scale/conv1' in row for row in rows)
    assert all('update_ratio/head/logits' in row for row in rows if 'loss' in row)
    assert 'Gradients, layer by layer' in (trained_run / 'report.html').read_text()
    assert (trained_run / 'gradients.png').is_file()


def test_a_summary_says_gradients_curvature_and_origins(trained_run, tmp_path, capsys):
    assert explain.main([str(trained_run), '--summary', '--to', str(tmp_path / 'out')]) == 0
    found = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert set(found['gradients']) >= {'all', 'conv1', 'head/logits'}
    assert len(found['class_conflict']['matrix']) == 4
    assert found['curvature']['hessian_eigenvalues'] == sorted(found['curvature']['hessian_eigenvalues'])[::-1]
    assert len(found['influence']) == 5
    for cell in found['influence']:
        influences = [origin['influence'] for origin in cell['helpful']]
        assert influences == sorted(influences)[::-1]
        assert all(value > 0 for value in influences)
        assert all(origin['influence'] < 0 for origin in cell['harmful'])
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert 'src="http' not in page
    assert 'synthetic cells' in page
    assert 'helped by' in capsys.readouterr().out


def test_a_model_without_its_run_is_told(trained_run, tmp_path):
    alone = tmp_path / 'alone'
    shutil.copytree(trained_run / 'model', alone)
    with pytest.raises(UserError, match=r'holds no config\.json'):
        explain.main([str(alone), '--summary', '--to', str(tmp_path / 'out')])
