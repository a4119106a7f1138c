"""Options that look at all cells at once, and so cannot go with cells that are read in batches."""

from collections.abc import Mapping
from typing import Any

# Field → value with which no cell has to be in memory.
PLAIN: Mapping[str, Any] = {
    'baseline.system': '',
    'ensemble.candidates': (),
    'data.stain': 'none',
    'data.mask': 'none',
    'data.crop': 0,
    'augment.copies': 'fresh',
    'test.adapt_cells': 0,
    'test.adapt_groups': 0,
}
OF_TEST_CELLS = ('test_slide', 'test_set')  # values of model.statistics


def needs(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields, each with its value, that need all cells in memory."""
    found = [
        f'config.{name}' if name == 'ensemble.candidates' else f'config.{name}={fields[name]}'
        for name, plain in PLAIN.items()
        if fields[name] != plain and (fields[name] or plain)
    ]
    if fields['model.statistics'] in OF_TEST_CELLS:
        found.append(f'config.model.statistics={fields["model.statistics"]}')
    return tuple(found)
