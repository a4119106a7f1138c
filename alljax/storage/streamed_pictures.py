"""Pictures that stay on the disk: read and decoded batch by batch, a few batches ahead of who asks for them."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Integer, UInt8

from alljax.errors import UserError

CHUNK = 32  # pictures read at a time, where no batch size says otherwise
AHEAD = 2  # batches that wait to be taken, besides those that threads are at
MOST_THREADS = 16  # each holds a batch

Index = Integer[np.ndarray, ' _'] | Bool[np.ndarray, ' _']
Picture = UInt8[np.ndarray, '_ _ 3']
Batch = UInt8[np.ndarray, '_ _ _ 3']


@dataclass(frozen=True, eq=False)
class StreamedPictures:
    """Pictures of cells in the place of an array: what is indexed is read from ArrayRecord files, and not kept."""

    records: Any  # grain's ArrayRecordDataSource, which all that are taken from one another share
    places: Integer[np.ndarray, ' cells']  # of their records
    digests: UInt8[np.ndarray, 'cells 32']  # SHA-256 of the pixels of each
    side: int
    decode: Callable[[bytes], Picture]

    ndim: ClassVar[int] = 4
    dtype: ClassVar[np.dtype] = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As an array's: cells, height, width, 3."""
        return len(self.places), self.side, self.side, 3

    @property
    def nbytes(self) -> int:
        """The bytes that they would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.places)

    def __array__(self, *_: object) -> np.ndarray:
        raise TypeError('pictures that are read from the disk become no array as a whole: index them')

    def __getitem__(self, index: int | np.integer | slice | Index) -> Any:
        if isinstance(index, int | np.integer):
            return self._read(self.places[[int(index)]])[0]
        wanted = self.take(np.arange(len(self))[index])
        if len(wanted) <= CHUNK:
            return self._read(wanted.places)
        whole, start = np.empty(wanted.shape, np.uint8), 0
        for part in wanted.batches(Chunks(len(wanted), CHUNK)):
            whole[start : start + len(part)] = part
            start += len(part)
        return whole

    def __iter__(self) -> Iterator[Picture]:
        for part in self.batches(Chunks(len(self), CHUNK)):
            yield from part

    def take(self, index: Index) -> 'StreamedPictures':
        """The pictures at `index`, in its order; nothing is read."""
        return replace(self, places=self.places[index], digests=self.digests[index])

    def batches(self, order: Sequence[Integer[np.ndarray, ' _']]) -> Iterator[Batch]:
        """The pictures of each batch of indices, read by Grain's threads while earlier ones are worked on.

        `order` is asked from these threads. UserError for a file that is damaged or no longer there.
        """
        if not len(order):
            return
        import grain  # takes seconds to load, and only those who stream need it

        threads = min(MOST_THREADS, os.cpu_count() or 1)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + AHEAD)
        batches = iter(grain.MapDataset.source(_Batches(self, order)).to_iter_dataset(options))
        try:
            yield from batches
        finally:
            batches.close()

    def _read(self, places: Integer[np.ndarray, ' _']) -> Batch:
        try:
            found = np.empty((len(places), self.side, self.side, 3), np.uint8)
            for number, record in enumerate(self.records.__getitems__(places.tolist()) if len(places) else ()):
                found[number] = self.decode(record)
        except Exception as error:  # a damaged file may break any line of the libraries that read it
            folder, said = Path(self.records.paths[0]).parent, str(error).partition('\n')[0][:200]
            raise UserError(
                f'{folder}: cannot be read ({said or type(error).__name__}); it is part of the cache: delete it and '
                'give the same command again, which builds it anew'
            ) from error
        return found


class Chunks(Sequence[Integer[np.ndarray, ' _']]):
    """The indices of some cells in their order, so many at a time."""

    def __init__(self, cells: int, size: int):
        self.cells, self.size = cells, size

    def __len__(self) -> int:
        return -(-self.cells // self.size)

    def __getitem__(self, number: Any) -> Any:
        return np.arange(number * self.size, min((number + 1) * self.size, self.cells))


class _Batches:
    """The batches as Grain asks for them: by their number."""

    def __init__(self, pictures: StreamedPictures, order: Sequence[Integer[np.ndarray, ' _']]):
        self.pictures, self.order = pictures, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> Batch:
        return self.pictures._read(self.pictures.places[self.order[number]])


Pictures = UInt8[np.ndarray, 'cells height width 3'] | StreamedPictures


def opened(files: Sequence[Path]) -> Any:
    """The records of ArrayRecord files, as Grain reads them."""
    import grain  # see `batches`

    return grain.sources.ArrayRecordDataSource([str(path) for path in files])


def opened_by_array_record(files: Sequence[Path]) -> Any:
    """The same without Grain, which takes seconds to load."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    return ArrayRecordDataSource([str(path) for path in files])


def held(pictures: Pictures, what: str) -> UInt8[np.ndarray, 'cells height width 3']:
    """Pictures that `what` needs in memory; UserError for those that are on the disk, as they are too many for it."""
    if isinstance(pictures, StreamedPictures):
        raise UserError(
            f'{what} needs all pictures in memory, and these ({len(pictures)} of {pictures.side} pixels, '
            f'{pictures.nbytes / 1e6:,.0f} MB) are read in batches, for they are more than config.data.device_cache_mb '
            'allows, by default a quarter of the memory of this machine; raise it, or take fewer or smaller cells'
        )
    return pictures


def taken(pictures: Pictures, index: Index) -> UInt8[np.ndarray, '_ _ _ 3'] | StreamedPictures:
    """The pictures at `index`; those on the disk are read only when they are asked for."""
    return pictures.take(index) if isinstance(pictures, StreamedPictures) else pictures[index]
