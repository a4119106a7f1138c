"""Mistakes that only the user can fix, said in sentences instead of tracebacks."""

import contextlib
import difflib
import errno
import sys
import unicodedata
from collections.abc import Iterable, Iterator

SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What a disk, or a path that no file can have, can do to us at any write.
OUTSIDE = SPACE | {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTDIR,
                   errno.ENAMETOOLONG, errno.ELOOP}  # fmt: skip
STEERING = frozenset({'Cc', 'Cs', 'Zl', 'Zp'})  # Unicode's categories: control, surrogate, ends of line and paragraph
TURNING = frozenset({'LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI'})  # the direction of writing


class UserError(Exception):
    """One or more problems that only the user can fix; each is a sentence that names the remedy."""

    def __init__(self, *problems: str):
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return f'{len(self.problems)} problems:\n' + '\n'.join(f'  - {problem}' for problem in self.problems)


@contextlib.contextmanager
def exit_on_user_error(after: str = 'the same command starts again') -> Iterator[None]:
    """Turns a UserError into its sentences on stderr and exit code 2, and Ctrl-C into exit code 130.

    `after` says how to go on then.
    """
    try:
        yield
    except UserError as error:
        sys.exit(_print(str(UserError(*(printable(problem, keep='') for problem in error.problems))), 2))
    except OSError as error:
        where = error.filename or 'the run folder'
        if error.errno == errno.EISDIR:
            sys.exit(_print(f'{where}: is a folder, expected a file; move it away, then try again', 2))
        if error.errno not in OUTSIDE:
            raise
        fix = 'free space' if error.errno in SPACE else 'fix its permissions or name another place'
        sys.exit(_print(f'{where}: {error.strerror}; {fix}, then try again', 2))
    except KeyboardInterrupt:
        sys.exit(_print(f'stopped by Ctrl-C; {after}', 130))


def _print(message: str, code: int) -> int:
    print(f'alljax: {printable(message)}', file=sys.stderr)
    return code


def printable(text: str, keep: str = '\n') -> str:
    """The text as a terminal may have it: characters that would steer it are escaped, all but those in `keep`.

    These are control characters, those that turn the direction of writing, and the lone surrogates that stand for
    bytes of a file name which are no UTF-8. File names and tables are other people's input.
    """
    return text if text.isascii() and text.isprintable() else ''.join(_escaped(char, keep) for char in text)


def _escaped(char: str, keep: str) -> str:
    steers = unicodedata.category(char) in STEERING or unicodedata.bidirectional(char) in TURNING
    return char.encode('unicode_escape').decode() if steers and char not in keep else char


def some(items: list[str], most: int = 8) -> str:
    """Joins items for a message and counts what it leaves out: 'a, b and 3 more'."""
    rest = len(items) - most
    return ', '.join(items[:most]) + (f' and {rest} more' if rest > 0 else '')


def nearest(name: str, known: Iterable[str]) -> str:
    """', did you mean …?' for a mistyped name; '' if nothing known is like it."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f', did you mean {near[0]!r}?' if near else ''
