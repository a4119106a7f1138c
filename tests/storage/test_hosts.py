"""What processes that train together tell each other: one that stops takes the others along, with a sentence."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import free_port

from alljax.errors import UserError
from alljax.storage import hosts

ROOT = Path(__file__).parents[2]
SCRIPT = textwrap.dedent("""
    import sys, time
    from alljax.errors import UserError
    from alljax.storage import hosts, joining
    from alljax.storage.joining import Team
    from alljax.storage.log import set_up_logging

    port, place, what = sys.argv[1:]
    first, seconds = place == '0', 2 if what == 'alone' else 60
    set_up_logging()
    with joining.joined(Team(f'127.0.0.1:{port}', 2, int(place), seconds=seconds)):
        hosts.agree('config', {'epochs': 3 if first else int(what == 'other') + 3, 'seed': 0})
        if first:
            hosts.tell('words', 'two\\nlines')
        else:
            assert hosts.told('words') == 'two\\nlines'
        if what == 'other' or (first and what == 'first stops'):
            time.sleep(0 if what == 'first stops' else 600)
            raise UserError('cells: there are none')
        if what == 'first stops':
            hosts.told('what nobody says')
    print('done', hosts.place())
""")


def together(what, places='01'):
    """Exit code, output and errors of each of two processes, or of those that were started."""
    port = str(free_port())
    run = [
        subprocess.Popen(
            [sys.executable, '-c', SCRIPT, port, place, what], cwd=ROOT, text=True,
            env={**os.environ, 'JAX_PLATFORMS': 'cpu'}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for place in places
    ]  # fmt: skip
    return [(process.returncode, *said) for process, said in [(one, one.communicate()) for one in run]]


@pytest.mark.slow
@pytest.mark.parametrize('what', ['all well', 'other', 'first stops'])
def test_processes_end_together(what):
    first, second = together(what)
    if what == 'all well':
        assert (first[:2], second[:2]) == ((0, 'done 0\n'), (0, 'done 1\n'))
        return
    assert (first[0], second[0]) == (2, 2), (first, second)
    assert 'Traceback' not in first[2] + second[2]
    if what == 'other':
        assert 'another config than process 0 (epochs: 3 there, 4 here); all processes of a run need' in second[2]
        assert 'process 1 stopped (process 1 of 2, on ' in first[2]
    else:
        assert 'alljax: cells: there are none' in first[2]
        assert 'process 0 stopped (cells: there are none), and so does process 1 of 2' in second[2]


@pytest.mark.slow
def test_the_first_process_does_not_wait_for_ever_for_the_others():
    ((code, _, said),) = together('alone', '0')
    assert code == 2
    assert said.strip().startswith('alljax: --processes=2: not all processes have joined within 2 s; start the others')


def test_a_process_that_is_alone_writes_and_waits_for_nobody():
    assert (hosts.count(), hosts.place(), hosts.is_first()) == (1, 0, True)
    hosts.tell('nothing')
    hosts.agree('config', {'a': 1})
    with hosts.in_turn('cells'):
        pass


def test_what_differs_is_named_and_the_first_process_goes_first(monkeypatch):
    said = {}
    monkeypatch.setattr(hosts, 'count', lambda: 2)
    monkeypatch.setattr(hosts, 'tell', lambda what, text='': said.setdefault(what, text) if hosts.is_first() else None)
    monkeypatch.setattr(hosts, 'told', said.__getitem__)
    for place in (0, 1):
        monkeypatch.setattr(hosts, 'place', lambda place=place: place)
        with hosts.in_turn('cells'):
            assert ('cells' in said) == bool(place)
        hosts.agree('config', {'size': (1, 2)})
    with pytest.raises(UserError, match=r'process 1 of 2.*seed: None there, 3 here.*size: .* there, 4 here'):
        hosts.agree('config', {'size': 4, 'seed': 3})


@pytest.mark.parametrize(('said', 'gone'), [
    ('UNKNOWN: Gloo all-reduce failed: Connection closed by peer', True),
    ('UNAVAILABLE: recvmsg:Connection reset by peer', True),
    ('RESOURCE_EXHAUSTED: Out of memory', False),
])  # fmt: skip
def test_an_error_of_a_partner_that_is_gone_is_told_from_others(said, gone):
    found = hosts.lost(ValueError(said))
    assert bool(found) == gone
    assert hosts.lost(UserError(said)) is None
    if found:
        assert 'another process of this run is gone' in str(found)
