"""Mistakes that only the user can fix, said in sentences instead of tracebacks."""

import contextlib
import difflib
import errno
import sys
from collections.abc import Iterable, Iterator

# What a disk can do to us at any write.
OUTSIDE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})


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
        sys.exit(_print(str(error), 2))
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        where = error.filename or 'the run folder'
        sys.exit(_print(f'{where}: {error.strerror}; free space or fix its permissions, then try again', 2))
    except KeyboardInterrupt:
        sys.exit(_print(f'stopped by Ctrl-C; {after}', 130))


def _print(message: str, code: int) -> int:
    print(f'alljax: {message}', file=sys.stderr)
    return code


def some(items: list[str], most: int = 8) -> str:
    """Joins items for a message and counts what it leaves out: 'a, b and 3 more'."""
    rest = len(items) - most
    return ', '.join(items[:most]) + (f' and {rest} more' if rest > 0 else '')


def nearest(name: str, known: Iterable[str]) -> str:
    """', did you mean …?' for a mistyped name; '' if nothing known is like it."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f', did you mean {near[0]!r}?' if near else ''
