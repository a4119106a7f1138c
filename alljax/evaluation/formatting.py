"""Numbers and facts as people read them: as many digits as the sample size carries, and units spelled out."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alljax.errors import printable

MISSING = '—'
LABELS = {
    'init': 'initial weights',
    'fingerprint': 'fingerprint (SHA-256)',
    'root': 'folder',
    'train': 'training',
    'train_n': 'training cells',
    'validation_n': 'validation cells',
    'test_n': 'test cells',
    'accuracy': 'accuracy on training cells',
    'images_per_second': 'speed (images/s)',
    'seconds': 'duration',
    'chosen': 'model kept',
    'input': 'input (height, width, channels)',
    'jax': 'JAX',
    'flax': 'Flax',
    'python': 'Python',
}

# data.grouping of results.json: what the groups are that a split keeps together → how that is said after 'grouped'
GROUPINGS = {
    'patient or slide': 'by patient or slide',
    'repeats only': 'by repeats only',
    'unknown': 'patients unknown',
}
DOUBTFUL = {
    'repeats only': 'Only repeats of one cell are kept together. Patients and slides are unknown, so cells of one '
    'patient or slide may stand on both sides of the split, and its numbers may be too high for new patients.',
    'unknown': 'Nothing is known of patients, slides or repeats, so cells of one patient or slide may stand on both '
    'sides of the split, and its numbers may be too high for new patients.',
}


def grouped(results: Mapping[str, Any]) -> str:
    """The words about a split that separates no group, by a results.json; '' where the kind of groups is not told."""
    kind = GROUPINGS.get(results['data'].get('grouping', ''))
    how = 'given sides' if results['split'].get('protocol') == 'given' else 'grouped'
    return f'{how} ({kind})' if kind else ''


def percent(fraction: float | None, n: int = 0) -> str:
    """Format a fraction of 1 in percent, with the digits that tell one error among n cells from none."""
    if fraction is None:
        return MISSING
    return f'{100 * fraction:.{max(1, len(str(n)) - 2)}f}%'


def interval(bounds: Sequence[float], n: int = 0) -> str:
    """Format [low, high], fractions of 1, in percent."""
    return f'{percent(bounds[0], n)} to {percent(bounds[1], n)}'


def probability(fraction: float) -> str:
    """Format a probability, a fraction of 1, in percent without ever claiming certainty."""
    return 'over 99.9%' if fraction >= 0.9995 else percent(fraction)


def label(key: str) -> str:
    """Turn a key of results.json into the words that head a row."""
    words = LABELS.get(key, key.replace('_', ' '))
    return words[:1].upper() + words[1:]


def value(item: Any, key: str = '') -> str:
    """Format any value of results.json, in the unit its key implies."""
    if key == 'seconds':
        return _duration(item)
    if item is None or (isinstance(item, str | Mapping | Sequence) and not len(item)):
        return MISSING
    if isinstance(item, bool):
        return 'yes' if item else 'no'
    if isinstance(item, int) and key != 'seed':
        return f'{item:,}'
    if key == 'accuracy' and isinstance(item, float):
        return percent(item)
    if isinstance(item, float):
        return f'{item:.4g}' if abs(item) < 1000 else f'{item:,.0f}'
    if isinstance(item, Mapping):
        return ', '.join(f'{name} {value(inner)}' for name, inner in item.items())
    if isinstance(item, list | tuple):
        return (' × ' if key == 'input' else '\n').join(value(inner) for inner in item)
    return str(item)


def timestamp(iso: str) -> str:
    """Format an ISO 8601 timestamp to the minute, in UTC where it names its zone."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f'{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC' if when.tzinfo else f'{when:%Y-%m-%d %H:%M}'


def training_cells(cells: int, copies: int, an_epoch: int | None = None) -> str:
    """The training side in words: '295 cells + 428 copies, 195 an epoch'; copies are none of the `cells`."""
    added = f' + {copies:,} {"copy" if copies == 1 else "copies"}' if copies else ''
    epoch = f', {an_epoch:,} an epoch' if an_epoch is not None else ''
    return f'{cells:,} {"cell" if cells == 1 else "cells"}{added}{epoch}'


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if round(seconds, 1) < 60:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s'


def markdown(text: str) -> str:
    """Text on one line that Markdown shows as it is; what would steer a terminal is escaped."""
    return re.sub(r'([\\`*<>|\[\]])', r'\\\1', printable(' '.join(text.split())))


def set_name(name: str, root: str) -> str:
    """The name of a set as a reader knows it: that of its folder, where the data set `name` is any folder."""
    return (Path(root).name if name == 'folder' else '') or name


def about(seconds: float) -> str:
    """A time as one says it: to ten seconds, to the minute."""
    if seconds < 90:
        return f'{max(10, round(seconds, -1)):.0f} s'
    return value(60.0 * round(seconds / 60), 'seconds').removesuffix(' 0 s')
