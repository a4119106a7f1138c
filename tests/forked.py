"""Commands as processes that import nothing: a server has imported all that they use, and forks for each.

A process that starts on its own imports for seconds what the tests of kills and of several processes never look at.
What is forked is a process like any other: it has its own exit code, signals and output, and can be killed at any time.
"""

import contextlib
import fcntl
import io
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
MOST_SAID = 1 << 20  # bytes


def here(name: str, *arguments: object) -> tuple[int, str]:
    """The exit code and the words of a command in this process, as of `Started.outcome`."""
    from alljax import commands

    said, code = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = commands.run(name, [*map(str, arguments)])
        except SystemExit as end:
            code = end.code
    return code, said.getvalue()


def context(*_: object) -> BaseContext:
    """The way in which multiprocessing starts processes of the server."""
    found = multiprocessing.get_context('forkserver')
    found.set_forkserver_preload(['forked_server'])
    with mock.patch.dict(os.environ, PYTHONPATH=f'{ROOT}:{Path(__file__).parent}'):
        forkserver.ensure_running()
    return found


class Started:
    """`alljax NAME ARGUMENTS…`, in the environment of this moment.

    Files may grow to `file_size` bytes, as on a disk that is full. With `group` it leads a group of processes.
    """

    def __init__(self, name: str, *arguments: object, file_size: int = 0, group: bool = False):
        self.folder = tempfile.TemporaryDirectory(prefix='alljax-said-')
        pipe = f'{self.folder.name}/pipe'  # which no full disk stops
        os.mkfifo(pipe)
        self.said = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.said, fcntl.F_SETPIPE_SZ, MOST_SAID)
        given = name, [*map(str, arguments)], dict(os.environ), pipe, file_size, group
        self.process = context().Process(target=_do, args=given)
        self.process.start()

    def ended(self) -> bool:
        return self.process.exitcode is not None

    def send(self, how: int, *, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.process.pid, how)

    def kill(self) -> None:
        """Ends it as a power switch would."""
        self.send(signal.SIGKILL)
        self.outcome()

    def outcome(self, seconds: float = 300) -> tuple[int, str]:
        """The exit code, less than 0 for a signal, and all that was said, once it has ended."""
        self.process.join(seconds)
        said = b''
        with contextlib.suppress(BlockingIOError):  # what it has started may go on, and say more
            while more := os.read(self.said, MOST_SAID):
                said += more
        assert self.ended(), f'it goes on after {seconds} seconds: {said}'
        os.close(self.said)
        self.folder.cleanup()
        return self.process.exitcode, said.decode(errors='replace')


def _do(name: str, arguments: list[str], environment: dict, pipe: str, file_size: int, group: bool) -> None:
    if group:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    opened = os.open(pipe, os.O_WRONLY)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    os.chdir(ROOT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if file_size:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    from alljax import commands

    sys.exit(commands.run(name, arguments))
