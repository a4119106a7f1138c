"""Damage as disks, kills and people do it to files: each kind is a function from the file's bytes to what is left."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random


def flipped(count: int) -> Callable[[bytes, Random], bytes]:
    def flip(content: bytes, rng: Random) -> bytes:
        changed = bytearray(content)
        for place in rng.sample(range(len(changed)), min(count, len(changed))):
            changed[place] ^= 1 << rng.randrange(8)
        return bytes(changed)

    return flip


KINDS: dict[str, Callable[[bytes, Random], bytes | None]] = {
    'empty': lambda content, rng: b'',
    'cut': lambda content, rng: content[: rng.randrange(len(content) or 1)],
    'bit': flipped(1),
    'bytes': flipped(64),
    'junk': lambda content, rng: rng.randbytes(len(content)),
    'other type': lambda content, rng: b'[1, "two", null]',
    'missing': lambda content, rng: None,
    'folder': lambda content, rng: None,
}


def damage(path: Path, kind: str, rng: Random) -> None:
    content = KINDS[kind](path.read_bytes(), rng)
    path.unlink()
    if kind == 'folder':
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)


@contextmanager
def damaged(path: Path, kind: str, rng: Random) -> Iterator[None]:
    """A damaged file, which is as it was afterwards."""
    content = path.read_bytes()
    damage(path, kind, rng)
    try:
        yield
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(content)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.is_file())
