"""The machine and the command of a run: what it takes to repeat it."""

import os
import platform
import shlex
import sys
from importlib.metadata import version

import jax


def about() -> dict[str, str]:
    """All that the numbers may depend on besides the seed."""
    names = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'scipy', 'scikit-image', 'scikit-learn')
    devices = jax.devices()
    return {
        'python': platform.python_version(),
        **{name: version(name) for name in names},
        'devices': f'{len(devices)} × {devices[0].device_kind}',
        'cores': str(os.cpu_count()),
        'platform': platform.platform(),
    }


def command() -> str:
    """The command line of this process, as a shell would take it."""
    said = shlex.join(sys.argv)
    return said if sys.argv[0] == 'alljax' else f'python {said}'
