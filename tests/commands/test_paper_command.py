"""`alljax paper`: the tables on the terminal."""

from alljax.commands import paper


def test_it_prints_the_tables(capsys):
    assert paper.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith('Shafique & Tehsin 2018: what follows from its confusion matrices\n')
    assert 'Tables 3 and 5: subtype' in said
