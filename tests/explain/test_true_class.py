"""The true class of an explained picture, and who says so."""

import pytest

from alljax.explain import true_class
from alljax.runs import own_cells


@pytest.mark.parametrize(
    ('all_seen', 'source'), [(False, 'a test cell of the run'), (True, 'by the run; not new to the model')]
)
def test_a_cell_that_the_final_model_learned_is_no_test_cell(monkeypatch, tmp_path, all_seen, source):
    own = own_cells.OwnCells(tmp_path.resolve(), {'a.png': 'blast'}, all_seen)
    monkeypatch.setattr(own_cells, 'of_run', lambda _: own)
    file = tmp_path / 'a.png'
    assert true_class.of_files([file], ('blast', 'normal'), tmp_path)[file] == ('blast', source)
