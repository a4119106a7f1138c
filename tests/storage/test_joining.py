"""Options of processes that train together: each mistake is a sentence, before any process waits for another."""

import re
import socket
import time

import pytest

from alljax.errors import UserError
from alljax.storage import joining
from alljax.storage.joining import Team

TASK = dict.fromkeys(joining.OF_SLURM, '2')


def problems(team, environment=None):
    with pytest.raises(UserError) as told:
        joining.check(team, environment or {})
    return told.value.problems


@pytest.mark.parametrize(('team', 'environment', 'expected'), [
    (Team('node1:9911', 2, 2), {}, '--process=2: the 2 processes of --processes=2 have the numbers 0 to 1'),
    (Team('node1:9911', 2, -1), {}, '--process=-1: the 2 processes'),
    (Team('node1:9911', 1, 0), {}, '--processes=1: is one process, which needs no others'),
    (Team('node1:9911', 2), {}, '--process: missing beside --coordinator and --processes'),
    (Team(processes=2, process=0), {}, '--coordinator: missing'),
    (Team('node1', 2, 0), {}, '--coordinator=node1: expected HOST:PORT'),
    (Team('node1:99110', 2, 0), {}, '--coordinator=node1:99110: expected HOST:PORT'),
    (Team(cluster='slurm'), {**TASK, 'SLURM_PROCID': ''}, 'SLURM_PROCID is not set, so this is no task of Slurm'),
    (Team(cluster='slurm'), {}, 'SLURM_PROCID, SLURM_LOCALID are not set'),
    (Team(cluster='slurm'), {**TASK, 'SLURM_NTASKS': '1'}, 'SLURM_NTASKS is 1, which is one process'),
    (Team('node1:9911', cluster='slurm'), TASK, '--coordinator: --distributed=slurm says it already'),
    (Team(cluster='kubernetes'), {}, 'KUBERNETES_SERVICE_HOST is not set, so this is no pod'),
    (Team(cluster='kubernetes'), {'KUBERNETES_SERVICE_HOST': '10.0.0.1'}, 'set completionMode: Indexed in the Job'),
])  # fmt: skip
def test_mistakes_are_sentences(team, environment, expected):
    assert any(expected in said for said in problems(team, environment))


def test_all_mistakes_are_said_at_once():
    assert len(problems(Team('node1', 1))) == 3


@pytest.mark.parametrize('coordinator', ['node1:9911', '10.0.0.7:1', '[fe80::1]:65535'])
def test_good_options_are_taken(coordinator):
    joining.check(Team(coordinator, 2, 1))
    joining.check(Team(cluster='slurm'), TASK)


def test_a_first_process_that_cannot_be_reached_is_named():
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        with pytest.raises(UserError, match=f'{address}: process 0 was not reached within 1 s .*--join_seconds'):
            joining._wait_for(address, 1)


@pytest.mark.parametrize(('number', 'expected'), [(0, 'the other processes'), (1, r'process 0, at 127\.0\.0\.1:9')])
def test_who_waits_says_for_whom(number, expected, monkeypatch, capfd):
    monkeypatch.setattr(joining, 'QUIET', 0.05)
    monkeypatch.setattr(joining, '_wait_for', lambda coordinator, seconds: time.sleep(0.3))
    monkeypatch.setattr(joining, '_initialize', lambda team: time.sleep(0.3))
    joining._join(Team('127.0.0.1:9', 2, number, seconds=77))
    assert re.search(f'waiting for {expected} \\(77 s at most', capfd.readouterr().err)
    monkeypatch.setattr(joining, 'QUIET', 60.0)
    joining._join(Team('127.0.0.1:9', 2, number))
    assert not capfd.readouterr().err
