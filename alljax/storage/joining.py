"""Joining of a process with the others that train one network with it: by flags, in Slurm, or in Kubernetes."""

import importlib.util
import logging
import os
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from alljax.errors import UserError, exit_on_user_error, printable

log = logging.getLogger(__name__)

SLURM, KUBERNETES = 'slurm', 'kubernetes'
NAMES_OF_JAX = {SLURM: 'slurm', KUBERNETES: 'k8s'}
OF_SLURM = ('SLURM_JOB_ID', 'SLURM_STEP_NODELIST', 'SLURM_NTASKS', 'SLURM_PROCID', 'SLURM_LOCALID')
ADDRESS = re.compile(r'(?P<host>[^:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})')
QUIET = 10.0  # seconds of waiting before it is told
GO_ON = 'the same command for all processes goes on from the last save'
ONE = 'is one process, which needs no others; leave the option out, or start more of them'


class Team(NamedTuple):
    """The processes that train together, as a process is told of them."""

    coordinator: str = ''  # HOST:PORT of the first one
    processes: int | None = None
    process: int | None = None  # the number of this one, from 0
    cluster: str = ''  # SLURM or KUBERNETES, whose environment says all three
    seconds: int = 300  # that a process waits for the others


def check(team: Team, environment: Mapping[str, str] = os.environ) -> None:
    """UserError with all that is wrong with the options of a team, or with the environment that they name."""
    given = {'coordinator': team.coordinator or None, 'processes': team.processes, 'process': team.process}
    names = [f'--{name}' for name, value in given.items() if value is not None]
    if team.cluster:
        problems = _of_slurm(environment) if team.cluster == SLURM else _of_kubernetes(environment)
        if names:
            problems.append(f'{names[0]}: --distributed={team.cluster} says it already; leave one of them out')
    else:
        problems = _of_flags(team)
        if len(names) < len(given):
            missing = ' and '.join(f'--{name}' for name, value in given.items() if value is None)
            problems.append(f'{missing}: missing beside {" and ".join(names)}; every process needs all three')
    if problems:
        raise UserError(*problems)


@contextmanager
def joined(team: Team) -> Iterator[None]:
    """All processes of a team have joined, and what is in it is done by each; `hosts` says which one this is.

    An error ends this process, for JAX would wait for the others first. The first process alone says what it does.
    """
    from alljax.storage import hosts  # with JAX, for which nobody waits who is alone

    _join(team)
    with _ends_at_once(), hosts.watched():
        log.info('%s: all have joined', hosts.this())
        if not hosts.is_first():
            logging.getLogger('alljax').setLevel(logging.WARNING)
        try:
            yield
        except Exception as error:
            if told := hosts.lost(error):
                raise told from error
            raise


def _of_flags(team: Team) -> list[str]:
    problems, found = [], ADDRESS.fullmatch(team.coordinator)
    if team.coordinator and not (found and 0 < int(found['port']) < 2**16):
        problems.append(
            f'--coordinator={team.coordinator}: expected HOST:PORT, a host of the first process that the others reach '
            'and a free port of it, such as node1:9911'
        )
    if team.processes is not None and team.processes < 2:
        problems.append(f'--processes={team.processes}: {ONE}')
    elif team.processes and team.process is not None and not 0 <= team.process < team.processes:
        problems.append(
            f'--process={team.process}: the {team.processes} processes of --processes={team.processes} have the '
            f'numbers 0 to {team.processes - 1}'
        )
    return problems


def _of_slurm(environment: Mapping[str, str]) -> list[str]:
    absent = [name for name in OF_SLURM if not environment.get(name)]
    if absent:
        return [
            f'--distributed=slurm: {", ".join(absent)} {"is" if len(absent) == 1 else "are"} not set, so this is no '
            'task of Slurm; start the command by srun, with --ntasks'
        ]
    return [f'--distributed=slurm: SLURM_NTASKS is 1, which {ONE}'] if environment['SLURM_NTASKS'] == '1' else []


def _of_kubernetes(environment: Mapping[str, str]) -> list[str]:
    problems = []
    if not environment.get('KUBERNETES_SERVICE_HOST'):
        problems.append(
            '--distributed=kubernetes: KUBERNETES_SERVICE_HOST is not set, so this is no pod; name the processes by '
            '--coordinator, --processes and --process'
        )
    elif not environment.get('JOB_COMPLETION_INDEX'):
        problems.append(
            '--distributed=kubernetes: JOB_COMPLETION_INDEX is not set, so pods have no numbers; set completionMode: '
            'Indexed in the Job'
        )
    if not importlib.util.find_spec('kubernetes'):
        problems.append(
            '--distributed=kubernetes needs the package kubernetes, which is not installed; install it by: '
            'pip install kubernetes'
        )
    return problems


def _join(team: Team) -> None:
    """Returns when all have joined; UserError if they cannot."""
    import jax

    jax.config.update('jax_enable_preemption_service', False)  # it would keep SIGTERM from ending the process
    with _after(QUIET, _say_waiting, team):
        if team.process:
            _wait_for(team.coordinator, team.seconds)
        with _after(team.seconds, _give_up, team):  # JAX aborts the process at its own limit, without a sentence
            _initialize(team)


def _initialize(team: Team) -> None:
    import jax
    from jax.errors import JaxRuntimeError

    try:
        jax.distributed.initialize(
            team.coordinator or None,
            team.processes,
            team.process,
            cluster_detection_method=NAMES_OF_JAX.get(team.cluster, 'deactivate'),
            initialization_timeout=team.seconds + 60,
        )
        jax.devices()  # each learns of the devices of all
    except (JaxRuntimeError, RuntimeError, ValueError, OSError) as error:
        said = str(error).partition('\n')[0] or type(error).__name__
        raise UserError(_refused(team, said)) from error


@contextmanager
def _after(seconds: float | int, do: Callable[[Team], object], team: Team) -> Iterator[None]:
    """Does something with the team if what is in it takes longer."""
    timer = threading.Timer(seconds, do, args=(team,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refused(team: Team, said: str) -> str:
    if 'backend' in said:  # JAX has computed before
        return (
            'the config file, or what it imports, computes with JAX when it is read, before the processes have joined; '
            'move that into a function'
        )
    if 'RPC server' in said:
        return (
            f'--coordinator={team.coordinator}: the port cannot be opened on {socket.gethostname()}, the host of '
            'process 0; another program has it: choose another port, for all processes'
        )
    return f'--distributed={team.cluster}: {said}' if team.cluster else f'the processes could not join: {said}'


def _wait_for(coordinator: str, seconds: int) -> None:
    """Returns when the first process can be reached; UserError if it cannot within the time."""
    host, _, port = coordinator.rpartition(':')
    end, said = time.monotonic() + seconds, ''
    while time.monotonic() < end:
        try:
            with socket.create_connection((host.strip('[]'), int(port)), timeout=max(0.1, end - time.monotonic())):
                return
        except OSError as error:
            said = error.strerror or str(error)
            time.sleep(0.2)
    raise UserError(
        f'--coordinator={coordinator}: process 0 was not reached within {seconds} s ({said}); start it there, and look '
        'at the name of the host, the port and the firewall; --join_seconds waits longer'
    )


def _say_waiting(team: Team) -> None:
    others = f'process 0, at {team.coordinator}' if team.process else 'the other processes'
    _print(f'waiting for {others} ({team.seconds} s at most; --join_seconds waits longer)')


def _give_up(team: Team) -> None:
    which = f'--processes={team.processes}' if team.processes else f'--distributed={team.cluster}'
    _print(f'{which}: not all processes have joined within {team.seconds} s; start the others as well, each with a '
           '--process of its own, and the same --coordinator and --processes; --join_seconds waits longer')  # fmt: skip
    os._exit(2)


def _print(sentence: str) -> None:
    print(f'alljax: {printable(sentence)}', file=sys.stderr, flush=True)


@contextmanager
def _ends_at_once() -> Iterator[None]:
    """Ends the process after an error, with its sentence: at a common end JAX waits for minutes for all others."""
    code = 1
    try:
        with exit_on_user_error(GO_ON):
            yield
            return
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
