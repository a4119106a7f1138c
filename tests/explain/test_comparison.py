"""The methods of heat maps compared on a few images, of a tiny network that was never trained."""

import csv

import jax.numpy as jnp
import pytest
from helpers import save_untrained_run

from alljax import explain
from alljax.commands import explain as command
from alljax.errors import UserError
from alljax.explain import comparison, comparison_page
from alljax.explain.methods import METHODS
from alljax.gradients.method_comparison import MEASURES

FEW = ('deletion', 'insertion', 'mass', 'sparseness')  # those that take seconds


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return save_untrained_run(tmp_path_factory.mktemp('run'), 96)


@pytest.fixture(scope='module')
def cells(drawn):
    return sorted((drawn / 'ALL_IDB2' / 'img').iterdir())[:3]


@pytest.mark.slow
def test_the_methods_are_ranked_on_a_page_and_in_a_table(run, cells, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('alljax.gradients.method_comparison.MEASURES', {name: MEASURES[name] for name in FEW})
    out = tmp_path / 'out'
    paths = map(str, (run, *cells))
    assert command.main([*paths, '--to', str(out), '--methods', 'gradcam,saliency', '--compare']) == 0
    rows = list(csv.DictReader((out / 'comparison.csv').open(newline='')))
    assert [(row['method'], row['measure']) for row in rows] == [
        (method, measure) for method in ('gradcam', 'saliency') for measure in FEW
    ]
    assert {row['better'] for row in rows if row['measure'] == 'deletion'} == {'lower'}
    for row in rows:  # the outlines of drawn cells are known
        assert float(row['low']) <= float(row['mean']) <= float(row['high'])
        assert row['images'] == '3'
    told = capsys.readouterr().out
    assert 'mean rank of 2 methods over 3 measures on 3 images' in told  # sparseness ranks nothing
    page = (out / 'index.html').read_text()
    for words in ('Grad-CAM', 'Mean rank', 'share of the marks on the mask', 'ranks nothing', 'synthetic cells'):
        assert words in page, words
    assert page.count('<strong>') >= 3 + 1  # the best of each measure that ranks, and the banner


def test_one_method_or_image_is_refused_before_the_work(run, cells, tmp_path):
    request = explain.Request(run, cells[:1], ['gradcam'], 4, folder=tmp_path / 'out')
    with pytest.raises(UserError, match=r'one method \(gradcam\) has no rank') as error:
        explain.compare(explain.check(request))
    assert len(error.value.problems) == 2
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('weights', 'said'), [('own', ''), ('others', ' for random weights')])
def test_a_map_without_numbers_is_told_by_its_cell_and_method(run, cells, tmp_path, monkeypatch, weights, said):
    whole = METHODS['saliency']

    def broken(model, variables, x, wanted, options):
        spoiled = (variables is request.run.variables) == (weights == 'own')
        return whole.function(model, variables, x, wanted, options).at[1].multiply(jnp.nan if spoiled else 1)

    measures = {'mass': MEASURES['mass'], 'parameter_randomization': MEASURES['parameter_randomization']}
    monkeypatch.setattr('alljax.gradients.method_comparison.MEASURES', measures)
    monkeypatch.setitem(METHODS, 'saliency', whole._replace(function=broken))
    request = explain.check(explain.Request(run, cells, ['saliency', 'gradcam'], 4, folder=tmp_path / 'out'))
    with pytest.raises(UserError, match=rf'{cells[1].name}: the map of saliency{said} holds NaN or infinity'):
        comparison.compare(request)


def test_a_measure_without_a_number_has_no_best():
    nothing = [comparison.MethodScore('saliency', 'deletion', *[float('nan')] * 3, 0, False, None)]
    assert comparison_page.best(nothing) != comparison_page.best(nothing)  # NaN
    assert comparison_page.short(float('nan')) == '—'
    assert comparison.as_csv(nothing).splitlines()[1] == 'saliency,deletion,lower,,,,0'
