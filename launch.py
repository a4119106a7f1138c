"""Runs a config: `python launch.py --config=configs/subtype.py --config.epochs=50 --workdir=runs/mine`."""

import logging
import sys
from pathlib import Path

from absl import app, flags

from alljax import config, sweep
from alljax.command_line import parse
from alljax.errors import UserError, told_to_the_user

CONFIG = flags.DEFINE_string('config', None, 'The config file; --config.a.b=value changes a field of it.')
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The run folder; an old one goes on. Default: runs/<config>-<data>-<time>.'
)
JOBS = flags.DEFINE_integer('jobs', 1, 'Of several runs, how many are done at a time.', lower_bound=1)
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Shows the plan with an estimate of its time, and does nothing.')


def main(overrides: dict[str, str]) -> None:
    """Loads the config, applies the overrides and does its run or runs."""
    logging.basicConfig(format='%(message)s', level=logging.WARNING, force=True)
    logging.getLogger('alljax').setLevel(logging.INFO)
    with told_to_the_user('the same command with the same --workdir goes on from the last save'):
        if CONFIG.value is None:
            raise UserError('--config is missing; try python launch.py --config=configs/subtype.py')
        values = config.load(CONFIG.value)
        config.override(values, overrides)
        folder = Path(WORKDIR.value) if WORKDIR.value else None
        good = sweep.launch(values, CONFIG.value, overrides, folder, jobs=JOBS.value, dry_run=DRY_RUN.value)
        sys.exit(0 if good else 1)


def checked(argv: list[str]) -> dict[str, str]:
    """`parse`, its problems told as sentences."""
    with told_to_the_user():
        return parse(argv)
    sys.exit(2)


if __name__ == '__main__':
    app.run(main, flags_parser=checked)
