"""Runs a config: `python launch.py --config=configs/subtype.py --config.epochs=50 --workdir=runs/mine`."""

import sys

from alljax import commands

if __name__ == '__main__':
    sys.exit(commands.run('train', sys.argv[1:]))
