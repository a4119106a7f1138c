"""`alljax audit`: what it prints, and mistakes as sentences."""

import pytest

from alljax import commands
from alljax.commands import audit
from alljax.data import synthetic


def test_it_tells_what_it_found(tmp_path, capsys):
    synthetic.write(tmp_path / 'set', 40, 0, 4)
    assert audit.main([str(tmp_path / 'set')]) == 0
    said = capsys.readouterr().out
    assert '40 pictures, 4 repeated pairs' in said
    assert 'groups.csv' in said


def test_mistakes_are_told_without_traceback(tmp_path, capsys):
    for arguments, words in (
        ([tmp_path / 'none'], 'there is no such folder'),
        ([tmp_path, '--threshold', '7'], 'expected a number above 0'),
    ):
        with pytest.raises(SystemExit) as caught:
            commands.run('audit', [*map(str, arguments)])
        assert caught.value.code == 2
        said = capsys.readouterr().err
        assert words in said
        assert 'Traceback' not in said
