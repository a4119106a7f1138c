import errno
import io
import logging
import subprocess
import sys

import absl.logging
import jaxtyping
import numpy as np
import pytest
from lazy_beartype import FIRST

from alljax.baselines.segmentation_scores import dice
from alljax.errors import UserError, exit_on_user_error, printable, some
from alljax.storage.log import set_up_logging


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
    assert exit_of(OSError(errno.ENAMETOOLONG, 'File name too long', 'xxx')) == 2
    assert 'xxx: File name too long; fix its permissions or name another place' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError), exit_on_user_error():
        raise FileNotFoundError(errno.ENOENT, 'No such file', 'x')


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('a\x1b[2Jb.tif', r'a\x1b[2Jb.tif'),  # would clear the terminal
        ('a\rb.tif', r'a\rb.tif'),  # would overwrite the start of the line
        ('a\nalljax: all is well', r'a\nalljax: all is well'),
        ('a\x9b1mb', r'a\x9b1mb'),  # the same as ESC [ in 8 bits
        ('a\u202egnp.exe', r'a\u202egnp.exe'),  # turns the rest around
        ('a\udcffb', r'a\udcffb'),  # a byte that is no UTF-8
        ('Blüte 白血病 é\u0301.tif', 'Blüte 白血病 é\u0301.tif'),
    ],
)
def test_a_name_cannot_steer_the_terminal(name, shown, capsys):
    assert printable(name, keep='') == shown
    exit_of(UserError(f'{name}: is damaged', 'two'))
    assert capsys.readouterr().err == f'alljax: 2 problems:\n  - {shown}: is damaged\n  - two\n'
    assert printable('one\ntwo') == 'one\ntwo'


def test_a_name_cannot_steer_the_terminal_through_the_log(tmp_path):
    say = 'from alljax.storage.log import set_up_logging; import logging; set_up_logging();'
    say += "logging.getLogger('alljax.x').info('%s: read', 'a\\x1b[2Jb')"
    done = subprocess.run([sys.executable, '-c', say], capture_output=True, text=True, check=True)
    assert done.stderr == 'a\\x1b[2Jb: read\n'


def test_the_log_closes_no_stream_of_others():
    stream = io.StringIO()
    handler = absl.logging.get_absl_handler()  # it closes the stream that it writes to when it is closed
    before, handler.python_handler.stream = handler.python_handler.stream, stream
    try:
        logging.getLogger().addHandler(handler)
        set_up_logging()
        assert handler not in logging.getLogger().handlers
        assert not stream.closed
    finally:
        handler.python_handler.stream = before


def test_long_lists_are_cut_and_counted():
    assert some(['a', 'b']) == 'a, b'
    assert some(['a', 'b', 'c'], 2) == 'a, b and 1 more'


def test_annotations_are_checked_at_the_first_calls_in_every_test():
    mask = np.ones((2, 2), bool)
    for _ in range(2):
        assert dice(mask, mask) == 1
        for wrong in (np.ones((3, 2), bool), np.ones((2, 2), int), [[True]]):
            with pytest.raises(jaxtyping.TypeCheckError):
                dice(mask, wrong)
        for _ in range(FIRST):
            dice(mask, mask)
        dice(mask, mask.astype(int))
        jaxtyping.jaxtyped.begin()
