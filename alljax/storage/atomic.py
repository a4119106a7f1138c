"""Files and folders that are there whole or not at all, however a program or the machine ends while it writes them."""

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# '.model.4711-3f2a.part': the name, the process that writes it, and what tells its parts apart. alljax 0.1.0 wrote
# '.model.4711.part', and before that '.model.part'.
PART = re.compile(r'\.(?P<name>.+?)\.(?:(?P<process>[0-9]+)(?:-[0-9a-f]+)?\.)?part')


def write_whole(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Writes a file under a hidden name beside it, then puts it in the place of an earlier one, whose mode it keeps.

    It is on the disk on return, so that a loss of power leaves it or the earlier one. `content` may be a function that
    writes to the open file, so that what is large is not in memory twice. A symbolic link stays one. What is no regular
    file, such as /dev/stdout, is written to directly. An OSError names the file.
    """
    try:
        _write_whole(path, content)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # as of a write to an open file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _write_whole(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    if path.exists() and not path.is_file():
        with path.open('wb') as file:
            _fill(file, content)
        return
    target = path.resolve() if path.is_symlink() else path
    delete_abandoned(target.parent, target.name)
    with part_file(target) as part:
        with part.open('wb') as file:
            _fill(file, content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode)
        part.replace(target)
        _sync(target.parent)


def write_json(path: Path, value: object) -> None:
    """Writes a file of JSON, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=2) + '\n').encode())


@contextmanager
def part_file(target: Path) -> Iterator[Path]:
    """An empty hidden file beside `target`, this process's own; it is deleted at the end unless it was renamed."""
    part = _part_name(target)
    try:
        with part.open('xb') as file:
            _lock(file.fileno())  # held until the end of the `with`, which tells others that it is in use
            yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A hidden folder to write into, which becomes `folder` at the end of the `with` and is deleted after an error.

    All that is in it is on the disk before it is renamed. With `replace`, an earlier folder is deleted when the new one
    has its place; else only an empty one may be there (OSError).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    delete_abandoned(folder.parent, folder.name)
    with temporary_folder(folder) as part:
        yield part
        sync_all(part)
        if replace and folder.exists():
            _exchange(part, folder)
        else:
            part.replace(folder)
        _sync(folder.parent)


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A hidden folder beside a path, deleted at the end; `delete_abandoned` does so where its process was killed."""
    part = _part_name(beside)
    part.mkdir()
    opened = os.open(part, os.O_RDONLY)
    try:
        _lock(opened)
        yield part
    finally:
        os.close(opened)
        shutil.rmtree(part, ignore_errors=True)


def delete_abandoned(folder: Path, name: str = '') -> None:
    """Deletes what processes that were killed left behind in a folder while they wrote `name`, by default anything.

    A part is abandoned if its process is gone, and no process, of another machine or container perhaps, has it locked.
    """
    for part in _content(folder):
        found = PART.fullmatch(part.name)
        if not found or found['name'] != (name or found['name']) or not (name or found['process']):
            continue  # without its process a part is known by the name that is written only
        if not (found['process'] and _is_running(int(found['process']))) and not _is_locked(part):
            delete(part)


def delete(path: Path) -> None:
    """Deletes a file, a link or a folder with all that is in it, as far as that can be done.

    A folder is renamed first, so that one that was deleted in part, by a process that was killed, is taken for none.
    """
    if path.is_dir() and not path.is_symlink():
        if not PART.fullmatch(path.name):
            with suppress(OSError):  # of a folder in which nothing can be renamed: it is deleted where it is
                path = path.replace(_part_name(path))
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def sync_all(folder: Path) -> None:
    """Returns when a folder and all files and folders in it are on the disk."""
    for place, _, files in os.walk(folder, topdown=False):
        for path in (Path(place, name) for name in files):
            if path.is_file() and not path.is_symlink():
                _sync(path)
        _sync(Path(place))


def _content(folder: Path) -> list[Path]:
    try:
        return [*folder.iterdir()]
    except OSError:  # it is not there yet, or may be written but not listed
        return []


def _exchange(part: Path, folder: Path) -> None:
    """Puts `part` in the place of an earlier folder, which is deleted only then."""
    earlier = _part_name(folder)
    folder.replace(earlier)
    try:
        part.replace(folder)
    except BaseException:
        earlier.replace(folder)
        raise
    delete(earlier)


def _part_name(target: Path) -> Path:
    return target.with_name(f'.{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part')


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot sync a folder
            raise
    finally:
        os.close(opened)


def _fill(file: BinaryIO, content: bytes | Callable[[BinaryIO], object]) -> None:
    if isinstance(content, bytes):
        file.write(content)
    else:
        content(file)


def _lock(opened: int) -> None:
    with suppress(OSError):  # not every network disk has locks: there the number of the process has to do
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(path: Path) -> bool:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(opened)
    return False


def _is_running(process: int) -> bool:
    """True if another process of this number is running; a leftover of one's own number is of an earlier process."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()
