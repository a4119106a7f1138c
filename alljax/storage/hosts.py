"""Several processes, mostly of several hosts, that train one network together: who they are, and what they tell.

The first one writes all records; the others train, and write their part of each checkpoint. Beside arrays they talk
through the coordination service of `jax.distributed`: the first tells, the others wait for it, and each hears of one
that has stopped. All of it comes to nothing in a process that is alone.
"""

import itertools
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from alljax.errors import UserError, some

log = logging.getLogger(__name__)

FOR_EVER = 7 * 24 * 3600 * 1000  # milliseconds: longer than any data set takes to be built
AGAIN = 'give all processes their command again, which goes on from the last save'
LISTEN = 1.0  # seconds from one look for a process that has stopped to the next
SILENT = 30.0  # seconds without a sign of life after which a process is gone; JAX itself takes twice as long
FAREWELL = 10.0  # seconds that one which stops waits for the others to hear of it
# begin the keys of what is told
TOLD, ALIVE, STOPPED, HEARD = 'alljax/told/', 'alljax/alive/', 'alljax/stopped/', 'alljax/heard/'


def count() -> int:
    """The number of processes that train together; 1 for one that is alone."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def place() -> int:
    """The number of this process, from 0."""
    return jax.process_index() if jax.distributed.is_initialized() else 0


def is_first() -> bool:
    """True for the one process that writes records."""
    return place() == 0


def tell(what: str, text: str = '') -> None:
    """Lets the others know a text, by a name that is used once; only the first process tells."""
    if count() > 1 and is_first():
        _client().key_value_set(f'{TOLD}{what}', f'{text}\n')  # a value may not be empty


def told(what: str) -> str:
    """The text that the first process tells by this name, once it has: the others wait for it."""
    found: str = _client().blocking_key_value_get(f'{TOLD}{what}', FOR_EVER)
    return found.removesuffix('\n')


@contextmanager
def in_turn(what: str) -> Iterator[None]:
    """The first process does what is in it before all others, who find in a shared cache what it has made there.

    Whoever has a cache of its own makes it anew. `what` is a name that is used once.
    """
    if not is_first():
        told(what)
    yield
    tell(what)


def agree(what: str, facts: Mapping[str, Any]) -> None:
    """UserError in each process whose facts, values of JSON, are not those of the first one."""
    if count() == 1:
        return
    mine = json.loads(json.dumps(dict(facts)))
    if is_first():
        tell(what, json.dumps(mine))
        return
    first = json.loads(told(what))
    different = [
        f'{name}: {first.get(name)!r} there, {mine.get(name)!r} here'
        for name in sorted({*first, *mine})
        if first.get(name) != mine.get(name)
    ]
    if different:
        raise UserError(
            f'{this()} has another {what} than process 0 ({some(different, 4)}); all processes of a run need the same '
            'command, cells and release'
        )


def this() -> str:
    """The words for this process in a message: 'process 1 of 2, on node7'."""
    return f'process {place()} of {count()}, on {socket.gethostname()}'


@contextmanager
def watched() -> Iterator[None]:
    """Whatever ends this process early is told to the others, who end as well; and the other way round.

    Processes wait for each other in every step, so without it the others would wait for hours. At the end all wait
    for the first one.
    """
    ended = threading.Event()
    listener = threading.Thread(target=_listen, args=(ended,), daemon=True)
    listener.start()
    try:
        yield
        tell('end')
        if not is_first():
            told('end')
    except BaseException as error:
        ended.set()
        listener.join()
        _say_farewell(error)
        raise
    ended.set()
    listener.join()


def lost(error: BaseException) -> UserError | None:
    """The error of a process whose partner is gone, in words; None for an error that has another cause."""
    said = str(error)
    if isinstance(error, UserError) or not any(word in said for word in ('Gloo', 'NCCL', 'UNAVAILABLE')):
        return None
    return UserError(
        f'{this()}: another process of this run is gone ({said.partition(chr(10))[0][:160]}); see what it said last; '
        f'{AGAIN}'
    )


def _client() -> Any:
    """The client of the coordination service, for which JAX has no public name; Orbax takes it from there as well."""
    from jax._src import distributed

    return distributed.global_state.client


def _listen(ended: threading.Event) -> None:
    """Ends this process when another one stops, or is no longer heard of: the main thread may wait for it for ever."""
    heard: dict[str, tuple[str, float]] = {}  # of each process its last sign of life, and when it came
    for sign in itertools.count():
        if ended.wait(LISTEN):
            return
        try:
            _client().key_value_set(f'{ALIVE}{place()}', str(sign), allow_overwrite=True)
            stopped, alive = (_client().key_value_dir_get(key) for key in (STOPPED, ALIVE))
        except Exception:  # the first process is gone: the main thread, or JAX itself, ends this one
            return
        for _, value in stopped:
            said = json.loads(value)
            log.error('%s stopped (%s), and so does %s', said['who'], said['why'], this())
            _set(f'{HEARD}{place()}', 'yes')
            os._exit(said['code'])
        now = time.monotonic()
        heard |= {name: (value, now) for name, value in alive if heard.get(name, ('', 0))[0] != value}
        for name, (_, last) in heard.items():
            if now - last > SILENT:
                log.error('%s: process %s was not heard of for %.0f s, so it was killed or its host is gone; %s',
                          this(), name.removeprefix(ALIVE), SILENT, AGAIN)  # fmt: skip
                os._exit(2)


def _say_farewell(error: BaseException) -> None:
    """Tells the others that this process stops, and why; the first one, without whom nothing is told, lets them go."""
    why = 'Ctrl-C' if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
    code = 130 if isinstance(error, KeyboardInterrupt) else 2 if isinstance(error, UserError) else 1
    _set(f'{STOPPED}{place()}', json.dumps({'who': f'process {place()}', 'why': why, 'code': code}))
    end = time.monotonic() + FAREWELL
    while is_first() and time.monotonic() < end:
        try:
            gone = {*_numbers(STOPPED), *_numbers(HEARD)}
        except Exception:
            return
        if len(gone) >= count():
            return
        time.sleep(0.1)


def _numbers(key: str) -> list[str]:
    return [name.removeprefix(key) for name, _ in _client().key_value_dir_get(key)]


def _set(key: str, value: str) -> None:
    try:
        _client().key_value_set(key, value)
    except Exception as error:  # there is nobody to tell any more
        log.debug('%s was not told: %s', key, error)
