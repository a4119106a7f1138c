"""audit.html: what was found, with the pictures to judge it by, in one file that loads nothing."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from alljax.data import image
from alljax.data.audit.shortcuts import LEVEL, Shortcut

SHOWN = 200  # pairs; a page of more takes long to open
SIDE = 144  # pixels of a picture on the page
MARK = '<meta name="generator" content="alljax.data.audit">'


def render(audit: Any, written: Sequence[Path]) -> str:
    """The page about an audit, which says what was `written`."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {'accuracy': accuracy, 'interval': interval}
    text = resources.files('alljax.data.audit').joinpath('audit.html.jinja').read_text(encoding='utf-8')
    files, labels = audit.listing.files, audit.listing.labels
    conflicts = [[(files[cell], labels[cell]) for cell in cells] for cells in audit.conflicts.values()]
    pairs = sorted(
        audit.pairs, key=lambda pair: (not pair.one_cell or labels[pair.first] == labels[pair.second], pair.score)
    )
    pictures = {cell: _picture(audit.listing.home / files[cell]) for pair in pairs[:SHOWN] for cell in pair[:2]}
    return environment.from_string(text).render(
        audit=audit,
        kinds=counted(audit.pairs),
        conflicts=conflicts,
        pairs=[(pair, pair.one_cell and labels[pair.first] != labels[pair.second]) for pair in pairs[:SHOWN]],
        more=len(pairs) - len(pairs[:SHOWN]),
        pictures=pictures,
        cells=len(files),
        repeated=sum(map(bool, audit.repeats)),
        shown_once=len(files) - sum(map(bool, audit.repeats)) + len(set(audit.repeats) - {''}),
        before=len(set(audit.listing.groups)),
        after=len(set(audit.groups)),
        level=f'{LEVEL:.0%}',
        written=[str(path) for path in written],
    )


def counted(pairs: Sequence[Any]) -> dict[str, int]:
    """Pairs of each kind, without the numbers in it; the most frequent first."""
    kinds = Counter(', '.join(part.split(' ')[0] if part[-1] in '°x' else part for part in pair.kind.split(', '))
                    for pair in pairs)  # fmt: skip
    return dict(kinds.most_common())


def accuracy(shortcut: Shortcut) -> str:
    """Balanced accuracy in percent, or a dash."""
    return '—' if shortcut.accuracy is None else f'{shortcut.accuracy:.0%}'


def interval(shortcut: Shortcut) -> str:
    """Its interval in percent, or a dash."""
    return '—' if shortcut.interval is None else '{:.0%} to {:.0%}'.format(*shortcut.interval)


def _picture(path: Path) -> str:
    square = Image.fromarray(image.to_square(np.asarray(image.read(path).pixels), SIDE))
    stream = io.BytesIO()
    square.save(stream, 'JPEG', quality=85)
    return 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode('ascii')
