"""Cells out of the ArrayRecord files of the cache: into memory, or left there, to be read in batches."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int32, Int64
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from alljax.data.cells import Cells, Origin, Side
from alljax.data.datasets import stream_index
from alljax.data.datasets.builder import SPLIT, CellsBuilder, quiet
from alljax.data.datasets.listing import Listing, Record
from alljax.data.datasets.stream_index import StreamIndex
from alljax.data.datasets.tables import normal
from alljax.data.denoise import filtered_cell
from alljax.data.image import RgbImage, to_square
from alljax.data.in_order import in_order
from alljax.errors import UserError
from alljax.storage import progress_bar, streamed_pictures
from alljax.storage.streamed_pictures import Picture, Pictures, StreamedPictures


class Form(NamedTuple):
    """The form in which pictures are kept."""

    size: int  # pixels a side
    denoise: str = 'none'  # one of alljax.data.denoise.NAMES

    def of(self, pixels: RgbImage) -> Picture:
        """A picture of any size in this form."""
        return filtered_cell(to_square(pixels, self.size), self.denoise)


class _Said(NamedTuple):
    """The facts about each cell but its pixels, in the order of the cells."""

    files: list[str]
    labels: list[int]
    groups: list[str]
    repeats: list[str]
    sides: tuple[Side, ...]


def read_cells(builder: CellsBuilder, size: int, denoise: str = 'none', *, stream: bool = False) -> Cells:
    """All cells of a builder at `size` pixels a side, in the order of their names; builds the files if absent.

    With `stream` the pictures stay on the disk. Builds the files again if they are damaged. Raises UserError with every
    problem of the folder, before anything is written.
    """
    form = Form(size, denoise)
    builder.build()
    if builder.listing.problems:  # of the folder as it is now: the files may have been built before
        raise UserError(*builder.listing.problems)
    try:
        return _read(builder, form, stream)
    except Exception as error:  # a damaged file may break any line of TFDS and of what it calls
        problem = error
    with builder.alone():
        builder.forget(problem)
    builder.build()
    return _read(builder, form, stream)


def _read(builder: CellsBuilder, form: Form, stream: bool) -> Cells:
    listing, notes = builder.listing, builder.info.metadata['notes']
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise ValueError('its notes are no sentences')
    said = _said(listing)
    found = _streamed(builder, form, said) if stream else _in_memory(builder, form, said)
    group_names = tuple(sorted(set(said.groups)))
    number = {name: index for index, name in enumerate(group_names)}
    seen_again = {name: index for index, name in enumerate(sorted(set(said.repeats) - {''}))}
    every = tuple(dict.fromkeys((*listing.notes, *notes)))
    return Cells(
        images=found.images,
        labels=np.array(said.labels, np.int32),
        groups=np.array([number[group] for group in said.groups], np.int32),
        repeats=np.array([seen_again.get(repeat, -1) for repeat in said.repeats], np.int32),
        names=tuple(said.files),
        classes=listing.classes,
        group_names=group_names,
        origin=Origin(listing.name, found.fingerprint, listing.synthetic, str(listing.root), every, listing.grouping),
        sizes=found.sizes,
        sides=said.sides,
    )


def _in_its_order(listing: Listing) -> list[Record]:
    return sorted(listing.records, key=lambda record: (normal(record.file), record.file.encode()))


def _said(listing: Listing) -> _Said:
    records, number = _in_its_order(listing), {name: label for label, name in enumerate(listing.classes)}
    files, groups, repeats = (
        [normal(getattr(record, key)) for record in records] for key in ('file', 'group', 'repeat')
    )
    given = {normal(file): side for file, side in listing.sides.items()}
    sides = tuple(given.get(file, 'other') for file in files) if given else ()
    return _Said(files, [number[record.label] for record in records], groups, repeats, sides)


class _Found(NamedTuple):
    """Pictures, and what only their pixels tell."""

    images: Pictures
    fingerprint: str
    sizes: Int32[np.ndarray, 'cells 2']


def _in_memory(builder: CellsBuilder, form: Form, said: _Said) -> _Found:
    images = np.empty((len(said.files), form.size, form.size, 3), np.uint8)
    fingerprint, sizes = _Fingerprint(said), np.empty((len(said.files), 2), np.int32)
    places = _places(builder)
    for number, (pixels, picture) in enumerate(_pictures(builder, places, form)):
        fingerprint.add(pixels)
        images[number], sizes[number] = picture, pixels.shape[1::-1]
    return _Found(images, fingerprint.of_all(), sizes)


def _streamed(builder: CellsBuilder, form: Form, said: _Said) -> _Found:
    """The pictures as they stay in the files, which are looked through once for each form, and then known."""
    files = _files(builder)
    path = stream_index.place(builder.entry, form, said.sides)
    known = stream_index.read(path, files, len(said.files))
    if known is None:
        known = _index(builder, form, said)
        stream_index.write(path, files, known)
    records = streamed_pictures.opened(files)
    if len(records) != len(said.files):
        raise ValueError('its records are not those of the folder')
    pictures = StreamedPictures(records, known.places, known.digests, form.size, partial(_decoded_fast, form=form))
    return _Found(pictures, known.fingerprint, known.sizes)


def _index(builder: CellsBuilder, form: Form, said: _Said) -> StreamIndex:
    places, count = _places(builder), len(said.files)
    sizes, digests = np.empty((count, 2), np.int32), np.empty((count, 32), np.uint8)
    fingerprint = _Fingerprint(said)
    for number, (pixels, picture) in enumerate(_pictures(builder, places, form)):
        fingerprint.add(pixels)
        sizes[number] = pixels.shape[1::-1]
        digests[number] = np.frombuffer(hashlib.sha256(picture.tobytes()).digest(), np.uint8)
    return StreamIndex(places, sizes, digests, fingerprint.of_all())


class _Fingerprint:
    """SHA-256 over the name, label, group, shape and pixels of each cell, in their order, and over the sides."""

    def __init__(self, said: _Said):
        self.said, self.digest = said, hashlib.sha256()
        self.facts = zip(said.files, said.labels, said.groups, strict=True)

    def add(self, pixels: RgbImage) -> None:
        """Takes the next cell."""
        self.digest.update(repr((*next(self.facts), pixels.shape)).encode())
        self.digest.update(pixels.tobytes())

    def of_all(self) -> str:
        """The fingerprint once all cells are taken."""
        if self.said.sides:
            self.digest.update(repr(self.said.sides).encode())
        return self.digest.hexdigest()


def _files(builder: CellsBuilder) -> list[Path]:
    return [Path(path) for path in builder.info.splits[SPLIT].filepaths]


def _places(builder: CellsBuilder) -> Int64[np.ndarray, ' cells']:
    """The record of each cell, in the order of the cells; ValueError if the files hold other cells than the folder."""
    with quiet():
        source = builder.as_data_source(SPLIT, decoders={'image': tfds.decode.SkipDecoding()})
    classes, found = builder.listing.classes, {}
    for place, example in enumerate(in_order(source.__getitem__, range(len(source)))):
        told = (
            example['file'].decode(),
            classes[example['label']],
            *(example[k].decode() for k in ('group', 'repeat')),
        )
        found[told[0]] = place, told
    records = _in_its_order(builder.listing)
    if [found.get(record.file, (0, ()))[1] for record in records] != [tuple(record) for record in records]:
        raise ValueError('its records are not those of the folder')
    if len(source) != len(records):
        raise ValueError('it holds cells that are not in the folder')
    return np.array([found[record.file][0] for record in records], np.int64)


def _pictures(
    builder: CellsBuilder, places: Sequence[int] | Int64[np.ndarray, ' cells'], form: Form
) -> Iterator[tuple[RgbImage, Picture]]:
    """The pixels of each cell as its file has them, and in their form."""
    records = streamed_pictures.opened_by_array_record(_files(builder))

    def one(place: int) -> tuple[RgbImage, Picture]:
        pixels = np.asarray(Image.open(io.BytesIO(_png(records[place]))))
        return pixels, form.of(pixels)

    return progress_bar.each(in_order(one, map(int, places)), 'reading the cells', len(places), ' cells')


def _png(record: bytes) -> bytes:
    features = tf_example_pb2.Example.FromString(record).features
    content: bytes = features.feature['image'].bytes_list.value[0]
    return content


def _decoded_fast(record: bytes, form: Form) -> Picture:
    """A record's picture, by a decoder that takes half the time of Pillow's, and long to load."""
    from imagecodecs import png_decode

    return form.of(png_decode(_png(record)))
