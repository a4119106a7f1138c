"""`alljax synthetic`: what it writes and prints, and its refusal as a sentence."""

import pytest

from alljax import commands
from alljax.commands import crops, synthetic
from alljax.data.synthetic.folder import is_synthetic


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


def test_it_draws_fields_that_can_be_cut_into_crops(tmp_path, capsys):
    given = [str(tmp_path / 'out'), '--fields', '2', '--field_size', '400x300']
    assert synthetic.main(given) == 0
    root = tmp_path / 'out' / 'ALL_IDB1'
    assert capsys.readouterr().out == f'2 drawn fields in {root}\n'
    assert crops.main([str(root), str(tmp_path / 'crops'), '--groups', str(root / 'groups.csv')]) == 0
    said = capsys.readouterr().out
    assert '(csv)' in said  # boxes rather than the centers of blasts
    assert 'ALL-IDB1 marks' not in said
    assert is_synthetic(tmp_path / 'crops')
    lines = (root / 'boxes.csv').read_text().splitlines()
    assert len((tmp_path / 'crops' / 'cells.csv').read_text().splitlines()) == len(lines)


@pytest.mark.parametrize(
    ('given', 'words'),
    [(['--field_size', 'large'], '--field_size large: expected width and height'), (['--cells', '40'], 'give either')],
)
def test_mistakes_about_fields_are_told(tmp_path, capsys, given, words):
    with pytest.raises(SystemExit):
        commands.run('synthetic', [str(tmp_path / 'out'), '--fields', '2', *given])
    assert words in capsys.readouterr().err
