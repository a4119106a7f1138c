"""The command line of launch.py: absl's flags, and a config's fields among them."""

from absl import flags

from alljax.errors import UserError


def parse(argv: list[str]) -> dict[str, str]:
    """Lets absl take its flags and returns the `--config.a.b=value` among them; UserError for what is neither."""
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
    return overrides
