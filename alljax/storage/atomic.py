"""Files that are there whole or not at all, however a program ends while it writes them."""

from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a hidden name beside it, then puts it in the place of an earlier one, whose mode it keeps."""
    part = path.with_name(f'.{path.name}.part')
    try:
        part.write_bytes(content)
        if path.exists():
            part.chmod(path.stat().st_mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
