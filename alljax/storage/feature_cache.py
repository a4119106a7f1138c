"""Rows that were computed from pictures, kept on disk by the pictures' pixels: files that are added to, and an index.

What is new goes into a file of its own, and no other file is written again, so that a folder of a million rows costs no
more to add to than one of a hundred. The index says which rows a file has without reading it; it is made again where it
is damaged or absent.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from alljax.storage import progress_bar
from alljax.storage.atomic import delete, delete_abandoned, write_whole
from alljax.storage.locks import locked
from alljax.storage.streamed_pictures import Pictures, StreamedPictures

SHARD, INDEX = 'rows-{:06d}.npz', 'index.npz'
EARLIER = ('features.npz', 'features-part-*.npz')  # of earlier releases; they are read, and stay as they are
SAVE_SECONDS = 20.0  # of work, at most, are lost when a process is killed, and those of one block
SHARD_BYTES = 64 << 20  # from which on rows are saved whatever the time: so much is in memory besides the result
SMALL_BYTES, MOST_SMALL = 4 << 20, 32  # files below that size are joined once there are so many

log = logging.getLogger(__name__)

Digests = UInt8[np.ndarray, 'cells 32']
Rows = Float[np.ndarray, 'cells ...']
Compute = Callable[[Int[np.ndarray, ' missing']], Iterable[Float[np.ndarray, 'some ...']]]


class _Shard(NamedTuple):
    """One file of rows, by what is known of it without reading them."""

    name: str
    size: int  # bytes
    digests: Digests


def digests(images: Pictures) -> Digests:
    """The SHA-256 of the pixels of each picture."""
    if isinstance(images, StreamedPictures):
        return images.digests
    found = b''.join(hashlib.sha256(image.tobytes()).digest() for image in images)
    return np.frombuffer(found, np.uint8).reshape(len(images), 32)


def by_picture(
    folder: Path,
    images: UInt8[np.ndarray, 'cells height width 3'],
    compute: Callable[[Int[np.ndarray, ' missing']], Float[np.ndarray, 'missing ...']],
    chunk: int = 64,
) -> Rows:
    """A row for each picture, from the `folder` where it has them, else by `compute` of their places and kept there.

    `compute` is asked for `chunk` rows at a time, which are saved on the way, so that a run that is killed keeps them.
    """

    def blocks(missing: Int[np.ndarray, ' missing']) -> Iterator[Float[np.ndarray, 'some ...']]:
        for start in range(0, len(missing), chunk):
            yield compute(missing[start : start + chunk])

    return by_digest(folder, digests(images), blocks)


def by_digest(folder: Path, wanted: Digests, compute: Compute) -> Rows:
    """A row for each digest of a picture, from the `folder` where it has them, else computed and kept there.

    `compute` is asked once for the places of all that are missing, and gives their rows in blocks, in their order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [row.tobytes() for row in wanted]
    with locked(folder / '.lock'):  # another run that wants the same waits for it, instead of computing it too
        delete_abandoned(folder)
        try:
            rows = _known_and_computed(folder, names, compute)
        except Unlike as error:  # what was read is then no row of these features
            for path in _paths(folder):
                _delete(path, error)
            rows = _known_and_computed(folder, names, compute)
        _join_small(folder)
        _write_index(folder, _shards(folder))
    return rows


def _known_and_computed(folder: Path, names: list[bytes], compute: Compute) -> Rows:
    found = _Found(len(names))
    _read_all(folder, names, found)
    missing: dict[bytes, list[int]] = {}
    for place in np.flatnonzero(~found.known).tolist():
        missing.setdefault(names[place], []).append(place)
    if missing:
        _compute(folder, missing, compute, found)
    return found.rows


class Unlike(Exception):
    """Rows of another shape or type than those of other files."""


class _Found:
    """The rows that are asked for, as they come."""

    def __init__(self, count: int):
        self.known = np.zeros(count, bool)
        self.rows: np.ndarray = np.zeros((count, 0), np.float32)
        self.empty = True

    def put(self, places: Int[np.ndarray, ' some'] | list[int], rows: Float[np.ndarray, 'some ...']) -> None:
        """Takes rows for their places; Unlike if they are unlike those before."""
        if self.empty:
            self.rows, self.empty = np.zeros((len(self.known), *rows.shape[1:]), rows.dtype), False
        if rows.shape[1:] != self.rows.shape[1:] or rows.dtype != self.rows.dtype:
            raise Unlike('its rows are unlike others')
        self.rows[places], self.known[places] = rows, True


def _compute(folder: Path, missing: Mapping[bytes, list[int]], compute: Compute, found: _Found) -> None:
    """The missing rows, shown as they come on a terminal and saved on the way."""
    places, unsaved = [*missing.values()], list[np.ndarray]()
    done = saved = 0
    clock = time.monotonic()
    log.info('computing the features of %d images, which are kept in %s', len(places), folder)

    def save() -> None:
        nonlocal saved, clock
        keys = np.frombuffer(b''.join([*missing][saved:done]), np.uint8).reshape(-1, 32)
        _write_shard(folder, keys, np.concatenate(unsaved))
        unsaved.clear()
        saved, clock = done, time.monotonic()

    with progress_bar.shown('features', len(places), ' images') as bar:
        for block in compute(np.array([same[0] for same in places])):
            for row, same in zip(block, places[done : done + len(block)], strict=True):
                found.put(same, np.repeat(row[None], len(same), 0))
            done += len(block)
            unsaved.append(block)
            bar.update(len(block))
            if time.monotonic() - clock >= SAVE_SECONDS or sum(part.nbytes for part in unsaved) >= SHARD_BYTES:
                save()
        if unsaved:
            save()


def _write_shard(folder: Path, keys: Digests, rows: Rows) -> None:
    name = next(path for number in count() if not (path := folder / SHARD.format(number)).exists())
    write_whole(name, lambda file: np.savez(file, digests=keys, features=rows))


def _paths(folder: Path) -> list[Path]:
    return [path for pattern in (*EARLIER, 'rows-*.npz') for path in sorted(folder.glob(pattern))]


def _shards(folder: Path) -> list[_Shard]:
    """The files of rows, by the index where it knows them; one that is damaged is deleted, saying so."""
    known = {(shard.name, shard.size): shard for shard in _read_index(folder)}
    found = []
    for path in _paths(folder):
        try:
            size = path.stat().st_size
            found.append(known.get((path.name, size)) or _Shard(path.name, size, _digests_of(path)))
        except Exception as error:  # a damaged archive may break any line of NumPy and of what it calls
            _delete(path, error)
    return found


def _digests_of(path: Path) -> Digests:
    with np.load(path, allow_pickle=False) as file:
        if 'digests' not in file.files:  # of an earlier release, which had them in hexadecimal letters
            text = ''.join(file['pictures'].tolist())
            return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 32)
        keys: Digests = file['digests']
        return keys.reshape(-1, 32)


def _delete(path: Path, error: Exception) -> None:
    log.warning('%s: cannot be read (%s); it is part of the cache, and computed again', path, error)
    delete(path)


def _read_all(folder: Path, names: list[bytes], found: _Found) -> None:
    """Fills in the rows that the files have, file by file; one that is damaged is deleted, and so computed again."""
    places: dict[bytes, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    for shard in _shards(folder):
        here = [(row, same) for row, key in enumerate(shard.digests) if (same := places.get(key.tobytes()))]
        if not here:
            continue
        try:
            rows = _rows_of(folder / shard.name, len(shard.digests))
            for row, same in here:
                found.put(same, np.repeat(rows[row][None], len(same), 0))
        except Exception as error:  # see `_shards`
            _delete(folder / shard.name, error)


def _rows_of(path: Path, expected: int) -> Rows:
    with np.load(path, allow_pickle=False) as file:
        rows: Rows = file['features']
    if rows.dtype.kind != 'f' or len(rows) != expected or not np.isfinite(rows).all():
        raise ValueError('its rows are no finite numbers')
    return rows


def _join_small(folder: Path) -> None:
    """Puts the rows of many small files into one, which is on the disk before these are deleted."""
    small = [shard for shard in _shards(folder) if shard.size < SMALL_BYTES and shard.name.startswith('rows-')]
    if len(small) <= MOST_SMALL:
        return
    try:
        rows = np.concatenate([_rows_of(folder / shard.name, len(shard.digests)) for shard in small])
    except Exception as error:  # they are looked at one by one when their rows are asked for
        log.debug('%s: its small files are not joined: %s', folder, error)
        return
    _write_shard(folder, np.concatenate([shard.digests for shard in small]), rows)
    for shard in small:
        delete(folder / shard.name)


def _read_index(folder: Path) -> list[_Shard]:
    """The files as the index has them; none if it is absent or damaged."""
    try:
        with np.load(folder / INDEX, allow_pickle=False) as file:
            names, sizes, counts = (file[name].tolist() for name in ('names', 'sizes', 'counts'))
            parts = np.split(file['digests'].reshape(-1, 32), np.cumsum(counts))
            return [_Shard(*one) for one in zip(names, sizes, parts[:-1], strict=True)]
    except Exception:  # a damaged archive may break any line of NumPy and of what it calls
        return []


def _write_index(folder: Path, shards: list[_Shard]) -> None:
    before = [(shard.name, shard.size) for shard in _read_index(folder)]
    if not shards or before == [(shard.name, shard.size) for shard in shards]:
        return
    if (folder / INDEX).is_dir():
        delete(folder / INDEX)
    names, sizes = [shard.name for shard in shards], [shard.size for shard in shards]
    counts, keys = [len(shard.digests) for shard in shards], np.concatenate([shard.digests for shard in shards])
    write_whole(folder / INDEX, lambda file: np.savez(file, names=names, sizes=sizes, counts=counts, digests=keys))
