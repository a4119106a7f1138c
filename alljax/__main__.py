"""The `alljax` command, also `python -m alljax`: lists the commands, and runs the one that is named."""

import os
import sys
from collections.abc import Sequence

from alljax import __doc__ as about
from alljax import __version__, commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the named command and returns its exit code; `arguments` are those of the command line by default."""
    if arguments is None:
        arguments = sys.argv[1:]
        sys.argv[0] = 'alljax'  # however it was started, so that a run folder says what to type
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # where the imports of a config file are looked for, as with `python -m`
    if not arguments:
        print(overview(), file=sys.stderr)
        return 2
    name, *rest = arguments
    if name in ('-h', '--help'):
        with commands.while_read():
            print(overview())
        return 0
    if name == '--version':
        print(f'alljax {__version__}')
        return 0
    return commands.run(name, rest)


def overview() -> str:
    """The text of `alljax --help`: every command with a line."""
    width = max(map(len, commands.COMMANDS))
    lines = [f'  {name:{width}}  {command.help}' for name, command in commands.COMMANDS.items()]
    return '\n'.join(
        [
            'usage: alljax COMMAND …',
            '       alljax --help | --version',
            '',
            f'{about}',
            '',
            'commands:',
            *lines,
            '',
            'The arguments of a command, with an example: alljax COMMAND --help',
            '',
            'example:',
            '  alljax predict runs/my-run cells/ --csv probabilities.csv',
        ]
    )


if __name__ == '__main__':
    sys.exit(main())
