"""The paper's settings, from which every config here begins: a task file calls `get_config()` and changes a few fields.

Each field, with its meaning, unit, source and bounds, stands in alljax/config/fields.py; on the command line
`--config.a.b=value` changes one, and wins over everything else.
"""

from ml_collections import ConfigDict

from alljax import config


def get_config() -> ConfigDict:
    """The paper's settings, without a task."""
    return config.defaults()
