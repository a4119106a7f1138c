"""Runs a config: `python launch.py --config=configs/subtype.py --config.epochs=50 --workdir=runs/mine`."""

import logging
import sys
from pathlib import Path

from absl import app, flags

from alljax import config, experiment
from alljax.errors import UserError, told_to_the_user

CONFIG = flags.DEFINE_string('config', None, 'The config file; --config.a.b=value changes a field of it.')
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The run folder; an old one goes on. Default: runs/<config>-<data>-<time>.'
)


def parse(argv: list[str]) -> dict[str, str]:
    """Lets absl take its flags and returns the config's overrides."""
    overrides, rest = {}, []
    for argument in argv:
        key, equals, value = argument.lstrip('-').partition('=')
        if not argument.startswith('--config.'):
            rest.append(argument)
        elif not equals:
            raise UserError(f'{argument}: expected {argument}=value')
        else:
            overrides[key.removeprefix('config.')] = value
    try:
        left = flags.FLAGS(rest)[1:]
    except flags.Error as error:
        raise UserError(str(error)) from None
    if left:
        raise UserError(f'{" ".join(left)}: was not understood; overrides are written --config.epochs=50')
    if CONFIG.value is None:
        raise UserError('--config is missing; try python launch.py --config=configs/subtype.py')
    return overrides


def main(overrides: dict[str, str]) -> None:
    """Loads the config, applies the overrides and runs."""
    logging.basicConfig(format='%(message)s', level=logging.WARNING, force=True)
    logging.getLogger('alljax').setLevel(logging.INFO)
    with told_to_the_user('the same command with the same --workdir goes on from the last save'):
        values = config.load(CONFIG.value)
        config.override(values, overrides)
        experiment.run(values, CONFIG.value, overrides, Path(WORKDIR.value) if WORKDIR.value else None)


def checked(argv: list[str]) -> dict[str, str]:
    """`parse`, its problems told as sentences."""
    with told_to_the_user():
        return parse(argv)
    sys.exit(2)


if __name__ == '__main__':
    app.run(main, flags_parser=checked)
