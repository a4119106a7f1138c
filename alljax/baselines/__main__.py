"""A classical system alone: `python -m alljax.baselines SYSTEM RUN_OR_FOLDER`, or `--list`."""

import sys

from alljax.commands import baselines
from alljax.errors import told_to_the_user

if __name__ == '__main__':
    with told_to_the_user('the same command with the same --workdir starts again'):
        sys.exit(baselines.main())
