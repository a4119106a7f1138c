"""The speed of this machine as earlier runs have measured it, in the user's cache: seconds a step, a picture, a run."""

import json
import logging
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import alljax
from alljax.storage import cache
from alljax.storage.atomic import write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import read_object
from alljax.storage.locks import entry_lock

log = logging.getLogger(__name__)

FILE = 'speeds.json'
WHOLE = 'all runs of {}'  # a config file: their seconds from start to end for each file of the folder
Speeds = dict[str, dict[str, float]]  # kind of work → what is timed ('step', 'picture', 'run') → seconds


def read() -> Speeds:
    """All that is known of this machine with these releases; nothing, saying so, if the file is damaged."""
    path = _path()
    try:
        record = read_object(path)
        if record.get('machine') != machine():
            return {}
        kinds = record['kinds']
        found = {kind: {name: float(seconds) for name, seconds in its.items()} for kind, its in kinds.items()}
        if all(0 <= seconds < math.inf for its in found.values() for seconds in its.values()):
            return found
        problem = 'holds no seconds'
    except Damaged as error:
        problem = str(error)
    except (KeyError, TypeError, ValueError, AttributeError):
        problem = 'holds no seconds'
    if path.exists():
        log.warning('%s: %s; it is part of the cache, and measured again', path, problem)
    return {}


def add(kind: str, seconds: Mapping[str, float]) -> None:
    """Keeps seconds of a kind of work, in the place of those of the same names that were known.

    A cache that cannot be written is no reason for a run to fail.
    """
    path = _path()
    with suppress(OSError), entry_lock(path):
        known = read()
        known[kind] = {**known.get(kind, {}), **{name: float(f'{value:.3g}') for name, value in seconds.items()}}
        write_json(path, {'machine': machine(), 'kinds': known})


def whole(config_file: str, root: str) -> float:
    """Seconds of all runs of a config on a folder, by those on the last new folder, of any size; 0 if not known."""
    return read().get(WHOLE.format(Path(config_file).stem), {}).get('picture', 0.0) * files_below(root)


def add_whole(config_file: str, root: str, seconds: float) -> None:
    """Keeps the seconds of all runs of a config on a folder."""
    if count := files_below(root):
        add(WHOLE.format(Path(config_file).stem), {'picture': seconds / count})


def files_below(root: str) -> int:
    """The number of files in a folder and below; 0 if there is none."""
    return sum(len(names) for _, _, names in os.walk(Path(root).expanduser())) if root else 0


def machine() -> dict[str, str]:
    """All that a speed depends on besides the work."""
    return {
        'alljax': alljax.__version__,
        'jax': version('jax'),
        'processor': _processor(),
        'cores': str(os.cpu_count()),
        'device': os.environ.get('JAX_PLATFORMS', ''),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def kind(facts: Mapping[str, object]) -> str:
    """The name of a kind of work by the facts that its speed depends on."""
    return json.dumps(facts, sort_keys=True, default=str)


def _path() -> Path:
    return cache.folder() / FILE
