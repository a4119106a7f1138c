"""A page that people explore: its own script, and nothing else, may run in it, and nothing may load from anywhere."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

# What no browser may take for the end of a script element, whatever stands in a file name.
ESCAPES = str.maketrans({'<': '\\u003c', '>': '\\u003e', '&': '\\u0026', '\u2028': '\\u2028', '\u2029': '\\u2029'})

BLOCK = 100  # pictures in one element of a page


def policy(*scripts: str) -> Markup:
    """The content of a Content-Security-Policy by which these scripts may run, by their hashes, and no other.

    Pictures and styles come from inside the page alone.
    """
    sources = ' '.join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    return Markup(f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {sources}")


def data(values: Any) -> Markup:
    """Values of JSON for a `<script type="application/json">`, in which no text can end that element."""
    text = json.dumps(values, ensure_ascii=False, separators=(',', ':'), allow_nan=False)
    return Markup(text.translate(ESCAPES))


def blocks(pictures: Sequence[str]) -> Markup:
    """Elements that keep many pictures, BLOCK of them in each, a line for each: read when the first of them is shown.

    As text a browser only passes over them; as one value of JSON, or as styles, thousands would be read at once.
    """
    return Markup('\n').join(
        Markup('<script type="text/plain" class="pictures">{}</script>').format('\n'.join(pictures[at : at + BLOCK]))
        for at in range(0, len(pictures), BLOCK)
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')
