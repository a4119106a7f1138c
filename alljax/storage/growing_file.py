"""A file that grows line by line while its rows are made, and that is whole or called unfinished."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path


class GrowingFile:
    """A file that lines are added to; each is on its way to the disk before the next."""

    def __init__(self, path: Path, file: FileIO):
        self.path = path  # where it grows
        self.lines = 0
        self._file = file

    def add(self, text: str) -> None:
        """Adds text, to a regular file whole or not at all, unless the process is killed in the middle of it."""
        start = self._file.tell() if self._file.seekable() else None
        rest = memoryview(text.encode(errors='backslashreplace'))  # a name that is no UTF-8 has surrogates
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:
            if start is not None:
                with contextlib.suppress(OSError):
                    self._file.truncate(start)
            raise
        self.lines += 1


@contextmanager
def growing_file(path: Path) -> Iterator[GrowingFile]:
    """A file of UTF-8 that grows as FILE.part beside `path`, and replaces it at the end of the `with`.

    After an error it stays FILE.part, if there is more in it than a first line; an earlier `path` and an earlier
    FILE.part are untouched until then, and the next one is FILE.part2. What is no regular file, such as /dev/stdout, is
    written to directly.
    """
    if path.exists() and not path.is_file():
        with FileIO(path, 'w') as file:
            yield GrowingFile(path, file)
        return
    target = path.resolve() if path.is_symlink() else path
    file, part = _new(target)
    growing = GrowingFile(part, file)
    try:
        with file:
            yield growing
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode)
        part.replace(target)
    except BaseException:
        if growing.lines < 2:
            part.unlink(missing_ok=True)
        raise


def _new(target: Path) -> tuple[FileIO, Path]:
    number = 1
    while True:
        part = target.with_name(f'{target.name}.part{number if number > 1 else ""}')
        try:
            return FileIO(part, 'x'), part
        except FileExistsError:
            number += 1
