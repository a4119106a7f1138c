"""The folder of one run: whose it is, and what is in it already."""

import json
import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alljax.errors import UserError
from alljax.storage import hosts
from alljax.storage.atomic import delete_abandoned, write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import read_object
from alljax.storage.locks import locked
from alljax.storage.log import Printable

Fields = Mapping[str, Any]  # a config by dotted name, whose values are of many types
NONE: Fields = MappingProxyType({})
CONFIG, RESULTS = 'config.json', 'results.json'
FINAL = 'final'  # the run of the model on all cells, below the folder of a cross-validation
CROSS_VALIDATION = 'cross_validation'  # the key of results.json that a cross-validation has
CLAIM = {CONFIG, 'run.log', '.lock'}  # what a run has before it does anything
DATA_ROOT, ALL_CELLS = 'data.root', 'split.all_cells'
SEEN = 30.0  # seconds after which a shared disk shows on one host what another wrote
MAY_CHANGE = (DATA_ROOT, 'data.device_cache_mb')  # without any result that changes


def default(config_file: str, data: str, demo: bool) -> Path:
    """runs/<config>-<data>-<time>, with 'demo' in the name of a demo."""
    parts = [Path(config_file).stem, *(['demo'] if demo else []), data, f'{datetime.now():%Y%m%d-%H%M%S}']
    return Path('runs') / '-'.join(parts)


def around(path: Path) -> Path:
    """The run folder that a path means: that of a model/ folder, or the folder itself."""
    return path.absolute().parent if path.name == 'model' else path


def earlier(workdir: Path | None) -> Fields:
    """The config fields of the run that is in the folder; none if there is no run, or no folder yet.

    UserError for a damaged config.json.
    """
    path = workdir / CONFIG if workdir else None
    if not workdir or not path or not path.exists():
        return {}
    try:
        return read_object(path)
    except Damaged as error:
        raise UserError(
            f'{path}: {error}, so it is not known which config the run has; restore the file from a copy, or delete '
            f'{workdir} and give the same command again, which starts anew'
        ) from None


def is_finished(workdir: Path) -> bool:
    """True if the run in the folder came to its end: its results are written last."""
    return (workdir / RESULTS).is_file()


def check_config(workdir: Path) -> None:
    """UserError, with the remedy, for a folder of results whose config.json is lost."""
    if is_finished(workdir) and not (workdir / CONFIG).exists():
        raise UserError(
            f'{workdir / CONFIG}: is missing, so it is not known which config the results there have; restore the file '
            f'from a copy, or delete {workdir} and give the command of this run again, which starts anew'
        )


def is_cross_validation(workdir: Path) -> bool:
    """True if the folder holds the pooled results of several runs of one config."""
    with suppress(Damaged):
        return CROSS_VALIDATION in read_object(workdir / RESULTS)
    return False


def runs_below(workdir: Path) -> list[Path]:
    """The folders of the runs in the folder of a sweep or cross-validation, but for a model trained on all cells."""
    runs = {path.parent for path in workdir.rglob(CONFIG)} - {workdir}
    of_several = {parent for run in runs for parent in run.parents}
    return [run for run in sorted(runs - of_several) if not earlier(run).get(ALL_CELLS)]


def set_fields(workdir: Path, changed: Fields) -> None:
    """Keeps the values that some config fields of the run have now, such as a folder of cells that were moved."""
    fields = earlier(workdir)
    if fields and fields != (now := {**fields, **json.loads(json.dumps(dict(changed)))}):
        write_json(workdir / CONFIG, now)


def differences(
    workdir: Path, fields: Fields, later: Fields = NONE, may_change: Collection[str] = MAY_CHANGE
) -> list[str]:
    """The config fields in which the run in the folder differs from these; none if there is no run.

    The folder of the cells is no difference: it may have been moved, and the cells are known by their fingerprint.
    Nor is the memory that they may take.
    `later` has the defaults of fields that runs of earlier releases lack, `may_change` all that is no difference.
    """
    old, new = earlier(workdir), json.loads(json.dumps(dict(fields)))
    known = json.loads(json.dumps({key: value for key, value in later.items() if key in new}))
    old = {**known, **old} if old else old
    return [
        f'{key}: {old.get(key)!r} there, {new.get(key)!r} now'
        for key in sorted({*old, *new})
        if old and key not in may_change and old.get(key) != new.get(key)
    ]


def show_to_others(workdir: Path) -> None:
    """Lets other processes that train with this one know when the folder was claimed, by which they find it."""
    hosts.tell(CONFIG, str((workdir / CONFIG).stat().st_mtime_ns))


def see_as_first(workdir: Path) -> None:
    """Returns when this process sees the folder that the first one has claimed; UserError if it is another.

    What one host writes, others may see seconds later.
    """
    claimed, end = hosts.told(CONFIG), time.monotonic() + SEEN
    while True:
        with suppress(OSError):
            if str((workdir / CONFIG).stat().st_mtime_ns) == claimed:
                return
        if time.monotonic() > end:
            raise UserError(
                f'--workdir={workdir}: {hosts.this()} does not see there what process 0 has written; name a folder on '
                'a disk that all hosts share, in which each writes its part of the checkpoints'
            )
        time.sleep(0.1)


@contextmanager
def opened(
    workdir: Path, fields: Fields, later: Fields = NONE, may_change: Collection[str] = MAY_CHANGE
) -> Iterator[None]:
    """Claims the folder for a run with these config fields; UserError if it is another's or in use.

    `later` and `may_change` are those of `differences`. A run that is refused before it made
    anything takes its claim back, so that the corrected command may have the same folder.
    """
    new = not (workdir / CONFIG).exists()
    with ExitStack() as held:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(workdir / '.lock', wait=False))
        except BlockingIOError:
            raise UserError(
                f'--workdir={workdir}: another process is running in it; wait for it, or choose another'
            ) from None
        except OSError as error:
            raise UserError(
                f'--workdir={workdir}: cannot be written ({error.strerror}); choose another folder'
            ) from None
        _claim(workdir, fields, later, may_change)
        try:
            with _logged(workdir / 'run.log'):
                yield
        except UserError:
            if new and {path.name for path in workdir.iterdir()} == CLAIM:
                for name in CLAIM:
                    (workdir / name).unlink()
            raise


def _claim(workdir: Path, fields: Fields, later: Fields, may_change: Collection[str]) -> None:
    path = workdir / CONFIG
    delete_abandoned(workdir)
    if not path.exists():
        check_config(workdir)
        others = sorted(p.name for p in workdir.iterdir() if p.name != '.lock')
        if others:
            raise UserError(
                f'--workdir={workdir}: holds {", ".join(others[:4])} but no run; choose a new or empty folder'
            )
        write_json(path, dict(fields))
        return
    different = differences(workdir, fields, later, may_change)
    if different:
        raise UserError(f'--workdir={workdir}: holds a run of another config ({"; ".join(different)}); choose another')


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Copies the package's log to a file for the time of a run."""
    logger = logging.getLogger('alljax')
    handler = logging.FileHandler(path, encoding='utf-8')
    handler.setFormatter(Printable('%(asctime)s %(levelname)s %(message)s'))
    logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        logger.debug('stopped: %s', error, exc_info=not isinstance(error, UserError | KeyboardInterrupt))
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
