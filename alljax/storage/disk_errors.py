"""The failures of a disk, each in one sentence: Orbax reports it under several types."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alljax.errors import UserError
from alljax.storage.atomic import part_file

WORDS = ('No space left', 'RESOURCE_EXHAUSTED', 'Permission denied', 'PERMISSION_DENIED', 'Read-only',
         'File too large', 'Input/output error', 'Error writing', 'Error opening', 'OS error',
         'os_error_code')  # fmt: skip


@contextmanager
def disk_errors_explained(folder: Path, after: str = ': it goes on from the last good checkpoint') -> Iterator[None]:
    """Turns an error of the disk, while a folder is written or read, into a UserError; other errors pass.

    `after` says what the same command does when it is given again.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, OSError) and not any(word in text for word in WORDS):
            raise
        full = 'space' in text or 'RESOURCE_EXHAUSTED' in text
        cause = 'the disk is full' if full else text.splitlines()[0][:200]
        fix = 'free space' if full else 'fix its permissions or name another folder'
        raise UserError(
            f'{folder}: cannot be written or read ({cause}); {fix} and give the same command again{after}'
        ) from error


def expect_writable(folder: Path, flag: str) -> None:
    """UserError, before any work, for a folder that could not be written at its end; nothing is left of the trial."""
    made: list[Path] = []
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with part_file(folder / 'trial'):
            pass
    except OSError as error:
        raise UserError(f'{flag} {folder}: cannot be written ({error.strerror}); name another folder') from None
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def new_folder_problem(folder: Path, flag: str) -> str:
    """The reason why a folder that a flag names is not new or empty; '' if it is. Nothing is made yet."""
    try:
        if folder.is_dir():
            return f'{flag} {folder}: is not empty; name a new folder' if any(folder.iterdir()) else ''
        if folder.exists():
            return f'{flag} {folder}: is a file; name a new folder'
    except OSError as error:
        return f'{flag} {folder}: cannot be used ({error.strerror}); name another folder'
    return ''
