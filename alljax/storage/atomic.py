"""Files and folders that are there whole or not at all, however a program ends while it writes them."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Writes a file under a hidden name beside it, then puts it in the place of an earlier one, whose mode it keeps.

    `content` may be a function that writes to the open file, so that what is large is not in memory twice. A symbolic
    link stays one. What is no regular file, such as /dev/stdout, is written to directly.
    """
    if path.exists() and not path.is_file():
        with path.open('wb') as file:
            _fill(file, content)
        return
    target = path.resolve() if path.is_symlink() else path
    part = target.with_name(f'.{target.name}.part')
    try:
        with part.open('wb') as file:
            _fill(file, content)
        if target.exists():
            part.chmod(target.stat().st_mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Writes a file of JSON, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=2) + '\n').encode())


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A hidden folder to write into, which becomes `folder` at the end of the `with` and is deleted after an error.

    With `replace`, an earlier folder is deleted just before that; else only an empty one may be there (OSError).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _delete_abandoned(folder)
    part = folder.with_name(f'.{folder.name}.{os.getpid()}.part')
    part.mkdir()
    try:
        yield part
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(file: BinaryIO, content: bytes | Callable[[BinaryIO], object]) -> None:
    if isinstance(content, bytes):
        file.write(content)
    else:
        content(file)


def _delete_abandoned(folder: Path) -> None:
    """Deletes what processes that were killed left behind while they wrote this folder."""
    name = re.compile(rf'\.{re.escape(folder.name)}\.(?:([0-9]+)\.)?part')  # alljax 0.1.0 wrote no process number
    for part in folder.parent.iterdir():
        found = name.fullmatch(part.name)
        if found and part.is_dir() and not (found[1] and _is_running(int(found[1]))):
            shutil.rmtree(part, ignore_errors=True)


def _is_running(process: int) -> bool:
    """True if another process of this number is running; a leftover of one's own number is of an earlier process."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()
