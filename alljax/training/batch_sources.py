"""The batches of training: gathered on the device by the step itself, or read from the disk ahead of it."""

from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, Shaped

from alljax.storage.streamed_pictures import StreamedPictures
from alljax.training import devices
from alljax.training.step import Batch, ReadBatch

Order = Sequence[Int[np.ndarray, ' batch']]  # the cells of each step, padded with -1


@runtime_checkable
class BatchSource(Protocol):
    """Cells that a step can be given."""

    def batches(self, order: Order) -> Generator[Batch | ReadBatch]:
        """The batch of each step."""


class DeviceCells(NamedTuple):
    """All cells on the device, of which each step gathers its own."""

    images: Shaped[Array, 'all ...']  # or features where only the head is trained
    labels: Int[Array, ' all']
    groups: Int[Array, ' all'] | None = None  # numbers from 0 on the training side, for group DRO

    def batches(self, order: Order) -> Generator[Batch]:
        """All cells, with those of each step chosen among them."""
        for chosen in order:
            yield self.batch(chosen)

    def batch(self, chosen: Int[np.ndarray, '*steps batch']) -> Batch:
        """All cells, with some chosen among them: those of a step, or of each of several."""
        return Batch(self.images, self.labels, jnp.asarray(chosen), self.groups)


class StreamedCells(NamedTuple):
    """Cells whose pictures are on the disk; a step is given those of its batch alone."""

    images: StreamedPictures
    labels: Int[Array, ' all']
    groups: Int[Array, ' all'] | None = None
    mesh: Mesh | None = None  # of the devices that share a batch

    def batches(self, order: Order) -> Generator[ReadBatch]:
        """The cells of each step, filled up as the step would fill them, so that it is given the same rows.

        Of several processes each reads those that its own devices take.
        """
        labels, groups = np.asarray(self.labels), None if self.groups is None else np.asarray(self.groups)
        for number, pictures in enumerate(self.images.batches(_Filled(order, self.mesh))):
            chosen = order[number]
            cells = filled(chosen)
            facts = labels[cells], chosen >= 0, None if groups is None else groups[cells]
            rest = devices.on_each(jax.device_put(facts), self.mesh)  # the device would take longer to choose them
            yield ReadBatch(devices.put_together(pictures, len(chosen), self.mesh), *rest)


def filled(chosen: Int[np.ndarray, ' batch']) -> Int[np.ndarray, ' batch']:
    """The cells of a batch, with its own cells again in the place of what pads it."""
    return np.resize(chosen[chosen >= 0], len(chosen))


class _Filled(Sequence[Int[np.ndarray, ' batch']]):
    def __init__(self, order: Order, mesh: Mesh | None):
        self.order, self.mesh = order, mesh

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: Any) -> Any:
        chosen = self.order[number]
        return filled(chosen)[devices.rows_here(len(chosen), self.mesh)]


class StepOrder(Sequence[Int[np.ndarray, ' batch']]):
    """The cells of each step from `first` on, over the ends of epochs."""

    def __init__(self, of_epoch: 'OfEpoch', steps_per_epoch: int, first: int, last: int):
        self.of_epoch = lru_cache(maxsize=2)(of_epoch)  # the next one is asked for before this one is done
        self.steps_per_epoch, self.first, self.last = steps_per_epoch, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        epoch, within = divmod(self.first + number, self.steps_per_epoch)
        return self.of_epoch(epoch)[within]


@runtime_checkable
class OfEpoch(Protocol):
    """The function from the number of an epoch to the cells of its steps."""

    def __call__(self, epoch: int, /) -> Int[np.ndarray, 'batches batch']:
        """The cells of each step, padded with -1."""
