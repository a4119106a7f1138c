"""`alljax synthetic`: what it writes and prints, and its refusal as a sentence."""

import pytest

from alljax import commands
from alljax.commands import synthetic


def test_it_says_where_the_cells_are(tmp_path, capsys):
    assert synthetic.main([str(tmp_path / 'out'), '--cells', '40']) == 0
    assert capsys.readouterr().out == f'40 drawn cells in {tmp_path / "out" / "ALL_IDB2"}\n'
    assert len(list((tmp_path / 'out' / 'ALL_IDB2' / 'img').iterdir())) == 40


def test_it_tells_its_refusal_in_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        commands.run('synthetic', [str(tmp_path / 'out'), '--cells', '3'])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith('alljax: 3 cells are too few')
    assert not (tmp_path / 'out').exists()
