"""audit.html: what was found, with the pictures to judge it by, in one file that loads nothing."""

import base64
import io
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from alljax.data import image
from alljax.data.audit import shortcut_advice
from alljax.data.audit.page_data import page_data
from alljax.data.audit.repeat_kinds import without_numbers
from alljax.data.audit.shortcuts import LEVEL, Shortcut
from alljax.storage import page_script

SHOWN = 120  # pairs at a time, and all in a browser that runs no script
SIDE = 144  # pixels of a picture on the page
PICTURES_MB = 40  # of all pictures, some 6,000: such a page still opens in seconds
AT_ONCE = 64  # pictures read together; those beyond the limit are not read
MARK = '<meta name="generator" content="alljax.data.audit">'

Track = Callable[[Iterable[str]], Iterable[str]]


def render(audit: Any, columns: Sequence[str], written: Sequence[Path], track: Track = iter) -> str:
    """The page about an audit, which says what was `written`; `columns` are those of groups.csv.

    `track` may show progress over the pictures, which are read one after another.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {'accuracy': accuracy, 'interval': interval}
    text, script = (
        resources.files('alljax.data.audit').joinpath(name).read_text(encoding='utf-8')
        for name in ('audit.html.jinja', 'audit.js')
    )
    pairs = by_doubt(audit)
    cells = list(dict.fromkeys(cell for pair in pairs for cell in pair[:2]))
    paths = [audit.listing.home / audit.listing.files[cell] for cell in cells]
    pictures = dict(zip(cells, track(_pictures(paths)), strict=False))  # as many as the page may hold
    styled = len({cell for pair in pairs[:SHOWN] for cell in pair[:2]} & pictures.keys())  # the first of them
    sizes = {'step': SHOWN, 'styled': styled, 'block': page_script.BLOCK}
    return environment.from_string(text).render(
        **_facts(audit),
        pairs=[(pair, conflicting(audit, pair)) for pair in pairs[:SHOWN]],
        more=len(pairs) - len(pairs[:SHOWN]),
        pictures=dict(list(pictures.items())[:styled]),
        blocks=page_script.blocks(list(pictures.values())[styled:]),
        without=len(cells) - len(pictures),
        limit=PICTURES_MB,
        data=page_script.data(page_data(audit, columns, pairs, pictures) | sizes),
        script=Markup(script),
        policy=page_script.policy(script),
        written=[str(path) for path in written],
    )


def _facts(audit: Any) -> dict[str, Any]:
    """The values of the page that are about the folder, and not about single pairs."""
    listing = audit.listing
    repeated = sum(map(bool, audit.repeats))
    advices = shortcut_advice.of_audit(audit)
    sizes = Counter(listing.groups)
    return {
        'audit': audit,
        'files': listing.files,
        'labels': listing.labels,
        'folder': shlex.quote(str(listing.home)),
        'kinds': counted(audit.pairs),
        'conflicts': [
            [(listing.files[cell], listing.labels[cell]) for cell in cells] for cells in audit.conflicts.values()
        ],
        'cells': len(listing.files),
        'repeated': repeated,
        'shown_once': len(listing.files) - repeated + len(set(audit.repeats) - {''}),
        'before': len(sizes),
        'after': len(set(audit.groups)),
        'joined_before': sum(sizes[name] for name in listing.unnamed_groups if sizes[name] > 1),
        'level': f'{LEVEL:.0%}',
        'advices': advices,
        'fixes': shortcut_advice.fixes(advices),
    }


def conflicting(audit: Any, pair: Any) -> bool:
    """True for pictures of one cell that bear different labels."""
    return pair.one_cell and audit.listing.labels[pair.first] != audit.listing.labels[pair.second]


def by_doubt(audit: Any) -> list[Any]:
    """The pairs with labels in conflict, then the others; the least certain of either first."""
    return sorted(audit.pairs, key=lambda pair: (not conflicting(audit, pair), pair.score))


def counted(pairs: Sequence[Any]) -> dict[str, int]:
    """Pairs of each kind, without the numbers in it; the most frequent first."""
    return dict(Counter(without_numbers(pair.kind) for pair in pairs).most_common())


def accuracy(shortcut: Shortcut) -> str:
    """Balanced accuracy in percent, or a dash."""
    return '—' if shortcut.accuracy is None else f'{shortcut.accuracy:.0%}'


def interval(shortcut: Shortcut) -> str:
    """Its interval in percent, or a dash."""
    return '—' if shortcut.interval is None else '{:.0%} to {:.0%}'.format(*shortcut.interval)


def _pictures(paths: Sequence[Path]) -> Iterator[str]:
    """The first pictures for the page, as many as PICTURES_MB hold."""
    left = PICTURES_MB * 1e6
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), AT_ONCE):
            for picture in pool.map(_picture, paths[start : start + AT_ONCE]):
                left -= len(picture)
                if left < 0:
                    return
                yield picture


def _picture(path: Path) -> str:
    square = Image.fromarray(image.to_square(np.asarray(image.read(path).pixels), SIDE))
    stream = io.BytesIO()
    square.save(stream, 'JPEG', quality=85)
    return 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode('ascii')
