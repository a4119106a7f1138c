"""From a checked listing to ArrayRecord files and back, through TensorFlow Datasets without TensorFlow."""

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from alljax.data.cells import Cells, Origin
from alljax.data.datasets.listing import Dataset, existing_folder
from alljax.data.datasets.tables import normal
from alljax.data.datasets.verify import verify
from alljax.data.image import to_png, to_square
from alljax.errors import UserError
from alljax.storage.atomic import delete, sync_all
from alljax.storage.disk_errors import disk_errors_explained
from alljax.storage.locks import entry_lock

log = logging.getLogger(__name__)


class LocalInfo(tfds.core.DatasetInfo):
    """The description of a data set that is on this disk only.

    TFDS would ask a server for it, and leave an empty folder in /tmp behind each time.
    """

    def initialize_from_bucket(self) -> None:
        """Nothing: no server knows this data set."""


class CellsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """The TFDS builder of a data set's cells, under its name in DATASETS.

    Its config is named after the state of the folder, so that a changed folder is built anew beside the old one.
    """

    def __init__(self, name: str, dataset: Dataset, *, root: Path, task: str, data_dir: Path, audited: bool = False):
        """With `audited` an audit will group the cells of a listing that names no slides."""
        self.name, self.VERSION = name, tfds.core.Version(dataset.version)  # TFDS takes them from the class otherwise
        self.listing = dataset.list_cells(existing_folder(root, file_too=dataset.file_as_root), task)
        self.listing.audited = audited and self.listing.grouping == 'unknown'
        config = tfds.core.BuilderConfig(name=f'{task}-{self.listing.key()}')
        self.entry = data_dir / name / config.name  # in the cache

        def start() -> None:
            with _quiet():
                super(CellsBuilder, self).__init__(data_dir=str(data_dir), config=config, file_format='array_record')

        self.start = start
        try:
            start()
        except Exception as error:  # TFDS reads what is there already, and what is damaged may break any line of it
            with self.alone():
                self.forget(error)
                start()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The lock of the cache's entry; what a killed process left half built there is deleted."""
        self.entry.mkdir(parents=True, exist_ok=True)
        with entry_lock(self.entry):
            for path in self.entry.glob('*incomplete*'):
                delete(path)
            yield

    def forget(self, error: Exception) -> None:
        """Deletes what cannot be read of the cache's entry, saying so: it is built again from the files."""
        log.warning('%s: cannot be read (%s); it is part of the cache, and built again', self.entry,
                    str(error).partition('\n')[0][:200] or type(error).__name__)  # fmt: skip
        for path in self.entry.iterdir():
            delete(path)

    @cached_property
    def notes(self) -> list[str]:
        """Sentences about what was converted; UserError with every problem of the folder."""
        return verify(self.listing)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            'image': tfds.features.Image(shape=(None, None, 3), encoding_format='png'),
            'label': tfds.features.ClassLabel(names=self.listing.classes),
            'file': tfds.features.Text(),
            'group': tfds.features.Text(),
            'repeat': tfds.features.Text(),
        }
        notes = tfds.core.MetadataDict(notes=[])
        return LocalInfo(builder=self, features=tfds.features.FeaturesDict(features), metadata=notes)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        self.info.metadata['notes'] = self.notes
        return {'cells': self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for record in self.listing.records:
            pixels = self.listing.read(self.listing.root / record.file).pixels
            image = io.BytesIO(to_png(pixels))  # an array would need TensorFlow to be encoded
            yield record.file, {**record._asdict(), 'image': image}


def read_cells(builder: CellsBuilder, size: int) -> Cells:
    """All cells of a builder at `size` pixels a side, in the order of their names; builds the files if absent.

    Builds them again if they are damaged. Raises UserError with every problem of the folder, before anything is
    written.
    """
    listing = builder.listing
    examples, built = _examples(builder)
    examples = sorted(examples, key=lambda example: normal(example['file'].decode()))
    if listing.problems:  # of the folder as it is now: the files may have been built before
        raise UserError(*listing.problems)
    files, groups, repeats = (
        [normal(example[key].decode()) for example in examples] for key in ('file', 'group', 'repeat')
    )
    digest = hashlib.sha256()
    for file, group, example in zip(files, groups, examples, strict=True):
        digest.update(repr((file, int(example['label']), group, example['image'].shape)).encode())
        digest.update(example['image'].tobytes())
    given = {normal(file): side for file, side in listing.sides.items()}
    sides = tuple(given.get(file, 'other') for file in files) if given else ()
    if sides:
        digest.update(repr(sides).encode())
    group_names = tuple(sorted(set(groups)))
    number = {name: index for index, name in enumerate(group_names)}
    seen_again = {name: index for index, name in enumerate(sorted(set(repeats) - {''}))}
    notes = tuple(dict.fromkeys((*listing.notes, *built)))
    return Cells(
        images=np.stack([to_square(example['image'], size) for example in examples]),
        labels=np.array([example['label'] for example in examples], np.int32),
        groups=np.array([number[group] for group in groups], np.int32),
        repeats=np.array([seen_again.get(repeat, -1) for repeat in repeats], np.int32),
        names=tuple(files),
        classes=listing.classes,
        group_names=group_names,
        origin=Origin(listing.name, digest.hexdigest(), listing.synthetic, str(listing.root), notes, listing.grouping),
        sizes=np.array([example['image'].shape[1::-1] for example in examples], np.int32),
        sides=sides,
    )


def _examples(builder: CellsBuilder) -> tuple[list[dict[str, Any]], list[str]]:
    """The records of the cache's entry and the notes on how they were read; one process builds it while others wait."""
    if builder.data_path.exists():
        try:
            return _read(builder)
        except Exception as error:  # a damaged file may break any line of TFDS and of what it calls
            problem = error
        with builder.alone():
            builder.forget(problem)
    with builder.alone():
        if not builder.data_path.exists():
            builder.start()  # another process may have deleted what it had read
            builder.notes  # noqa: B018  # the check runs outside TFDS, whose messages would stand around ours
            offline = tfds.download.DownloadConfig(try_download_gcs=False)
            with disk_errors_explained(builder.entry, after=''), _quiet():
                builder.download_and_prepare(download_config=offline)
            sync_all(builder.entry)
        else:
            builder.start()  # which reads what the other process has built
    return _read(builder)


def _read(builder: CellsBuilder) -> tuple[list[dict[str, Any]], list[str]]:
    with _quiet():
        examples = sorted(builder.as_data_source('cells'), key=lambda example: example['file'])
    records = sorted(builder.listing.records, key=lambda record: record.file.encode())
    classes = builder.listing.classes
    told = [(*(example[key].decode() for key in ('file', 'group', 'repeat')), classes[example['label']])
            for example in examples]  # fmt: skip
    if told != [(record.file, record.group, record.repeat, record.label) for record in records]:
        raise ValueError('its records are not those of the folder')
    notes = builder.info.metadata['notes']
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise ValueError('its notes are no sentences')
    return examples, notes


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS's own progress and advice about downloads off the terminal; its errors are exceptions."""
    tfds.disable_progress_bar()
    logger = logging.getLogger('absl')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
