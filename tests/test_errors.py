import errno

import pytest

from alljax.errors import UserError, exit_on_user_error, some


def exit_of(error):
    with pytest.raises(SystemExit) as caught, exit_on_user_error():
        raise error
    return caught.value.code


def test_problems_become_sentences_and_exit_codes(capsys):
    assert exit_of(UserError('a.tif: is damaged')) == 2
    assert capsys.readouterr().err == 'alljax: a.tif: is damaged\n'
    assert exit_of(UserError('one', 'two')) == 2
    assert capsys.readouterr().err == 'alljax: 2 problems:\n  - one\n  - two\n'
    assert exit_of(KeyboardInterrupt()) == 130
    with pytest.raises(SystemExit), exit_on_user_error('go on so'):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.endswith('alljax: stopped by Ctrl-C; go on so\n')


def test_a_full_disk_is_a_sentence_but_a_bug_is_not(capsys):
    assert exit_of(OSError(errno.ENOSPC, 'No space left on device', 'metrics.jsonl')) == 2
    assert 'metrics.jsonl: No space left on device' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError), exit_on_user_error():
        raise FileNotFoundError(errno.ENOENT, 'No such file', 'x')


def test_long_lists_are_cut_and_counted():
    assert some(['a', 'b']) == 'a, b'
    assert some(['a', 'b', 'c'], 2) == 'a, b and 1 more'
