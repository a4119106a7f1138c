"""A Slurm cluster of this one machine in a temporary folder, for tests: root, and Debian's packages, are needed.

apt-get install slurmctld slurmd slurm-client munge
python tests/sweep/slurm_cluster.py COMMAND …   # runs a command on it, such as `sinfo`, and stops it
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGES = 'slurmctld slurmd slurm-client munge'
PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'srun', 'scontrol', 'scancel')
SECONDS = 60  # for it to start
# No control groups, which a container may not have, and no accounting, which many small clusters lack.
CONFIG = """
ClusterName=alljax-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; '' if there can."""
    lacking = [name for name in PROGRAMS if not find(name)]
    if lacking:
        return f'there is no {lacking[0]} on this machine (apt-get install {PACKAGES})'
    return '' if os.geteuid() == 0 else 'slurmd needs root'


def find(name: str) -> str | None:
    """The path of a program, also in the folders of daemons, which not every user has in PATH."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin']))


@contextlib.contextmanager
def running(cpus: int = 2) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands mean a new cluster; RuntimeError, with its logs, if none starts."""
    folder = Path(tempfile.mkdtemp(prefix='slurm-'))
    for name in ('state', 'spool', 'munge'):
        (folder / name).mkdir(mode=0o755)
    folder.chmod(0o755)
    key, config = folder / 'munge' / 'key', folder / 'slurm.conf'
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    controller, node = free_ports(2)
    host = socket.gethostname().partition('.')[0]
    config.write_text(CONFIG.format(folder=folder, host=host, controller_port=controller, node_port=node, cpus=cpus))
    environment = {**os.environ, 'SLURM_CONF': str(config)}
    daemons = {
        'munged': [
            '--foreground', '--force', f'--key-file={key}', f'--socket={folder}/munge/socket',
            f'--pid-file={folder}/munge/pid', f'--log-file={folder}/munge/log', f'--seed-file={folder}/munge/seed',
        ],
        'slurmctld': ['-D', '-f', str(config)],
        'slurmd': ['-D', '-f', str(config)],
    }  # fmt: skip
    processes = []
    try:
        for name, arguments in daemons.items():
            with (folder / f'{name}.log').open('w') as log:
                command = [find(name), *arguments]
                processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
            until(lambda: (folder / 'munge' / 'socket').exists(), folder)
        until(lambda: answer(['sinfo', '--noheader', '--format=%T'], environment) == 'idle', folder)
        yield environment
    finally:
        answer(['scancel', f'--nodelist={host}', '--state=RUNNING'], environment)
        answer(['scancel', '--state=PENDING'], environment)
        with contextlib.suppress(RuntimeError):
            until(lambda: not answer(['squeue', '--noheader'], environment), folder)
        for process in reversed(processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def answer(command: list[str], environment: dict[str, str]) -> str:
    """What a command prints."""
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def until(true, folder: Path) -> None:
    """Waits for something; RuntimeError, with the ends of all logs, if it does not come."""
    end = time.monotonic() + SECONDS
    while not true():
        if time.monotonic() > end:
            logs = [f'{path.name}:\n{path.read_text()[-2000:]}' for path in sorted(folder.glob('*.log'))]
            raise RuntimeError('\n'.join(['Slurm does not start', *logs]))
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == '__main__':
    if why := missing():
        sys.exit(why)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the daemons end too
    with running() as variables:
        sys.exit(subprocess.run(sys.argv[1:], env=variables).returncode)
