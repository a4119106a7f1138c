"""The text of an annotation file, in whatever encoding a program of its time wrote it."""

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
)
DECLARED = re.compile(rb'^\s*<\?xml[^>]*encoding\s*=\s*["\']([\w.-]+)["\']')


def decoded(data: bytes) -> str | None:
    """The text by its byte order mark, by what XML declares, as UTF-8, or as Windows' Latin; None for no text."""
    encodings = [name for mark, name in MARKS if data.startswith(mark)][:1]
    if not encodings:
        declared = DECLARED.match(data)
        encodings = [*([declared[1].decode()] if declared else []), 'utf-8', 'cp1252']
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        return None if '\0' in text else text
    return None
