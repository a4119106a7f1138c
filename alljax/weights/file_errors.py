"""The errors of a file of weights: what was found in it, what was expected, and the fix."""

import gzip
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alljax.errors import UserError

AGAIN = 'get it again'

# What bytes that nobody wrote so can raise in pickle, struct, zipfile, tarfile, gzip and NumPy.
DAMAGE = (
    pickle.UnpicklingError, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, struct.error, EOFError,
    ValueError, TypeError, AttributeError, LookupError, OverflowError, NotImplementedError, RecursionError, MemoryError,
)  # fmt: skip


class UnreadableFile(ValueError):
    """The reason why a file is not read, and the fix, without the file's name."""


def excerpt(text: str) -> str:
    """A text of a file, safe to print: short, on one line and without control characters."""
    text = text.encode('unicode_escape').decode()
    return text if len(text) <= 120 else f'{text[:120]}…'


@contextmanager
def damage_as_user_errors(path: Path) -> Iterator[None]:
    """Turns what the content of a file raises into a UserError that names the file; errors of the disk pass."""
    try:
        yield
    except UnreadableFile as error:
        raise UserError(f'{path}: {error}') from None
    except DAMAGE as error:
        why = excerpt(str(error) or type(error).__name__)
        raise UserError(f'{path}: is damaged or truncated ({why}); {AGAIN}') from None


@contextmanager
def as_user_errors(path: Path, expected: str) -> Iterator[None]:
    """Turns what reading a file raises into a UserError that names the file; `expected` says what it should be."""
    try:
        with damage_as_user_errors(path):
            yield
    except FileNotFoundError:
        raise UserError(f'{path}: there is no such file, expected {expected}; fix its path') from None
    except IsADirectoryError:
        raise UserError(f'{path}: is a folder, expected {expected}; name a file in it') from None
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); fix its permissions or copy it again') from None
