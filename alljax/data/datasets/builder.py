"""From a checked listing to ArrayRecord files, through TensorFlow Datasets without TensorFlow."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from alljax.data.datasets.listing import Dataset, Record, existing_folder
from alljax.data.datasets.tables import normal
from alljax.data.datasets.verify import verify
from alljax.data.image import to_png
from alljax.data.in_order import in_order
from alljax.storage import progress_bar
from alljax.storage.atomic import delete, delete_abandoned, sync_all
from alljax.storage.disk_errors import disk_errors_explained
from alljax.storage.locks import entry_lock

log = logging.getLogger(__name__)

SPLIT = 'cells'
CELLS_A_FILE = 10_000  # a gigabyte of PNG at 257 pixels a side


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
            with quiet():
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
            delete_abandoned(self.entry)
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
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        def example(record: Record) -> tuple[str, dict[str, Any]]:
            pixels = self.listing.read(self.listing.root / record.file).pixels
            image = io.BytesIO(to_png(pixels))  # an array would need TensorFlow to be encoded
            return record.file, {**record._asdict(), 'image': image}

        records = sorted(self.listing.records, key=lambda record: normal(record.file))
        return progress_bar.each(in_order(example, records), 'keeping the cells', len(records), ' cells')

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[tfds.core.SplitInfo]:
        """Writes the cells in the order of their names, as they come.

        TFDS's own way shuffles them: it holds a gigabyte in memory, and needs TensorFlow for what is more.
        """
        examples = self._split_generators(dl_manager)[SPLIT]
        count, template = len(self.listing.records), self._get_filename_template(split_name=SPLIT)
        serializer = ExampleSerializer(self.info.features.get_serialized_info())
        lengths = [min(CELLS_A_FILE, count - start) for start in range(0, count, CELLS_A_FILE)]
        size = 0

        def serialized(number: int) -> Iterator[tuple[str, bytes]]:
            nonlocal size
            for name, example in islice(examples, number):
                record = serializer.serialize_example(self.info.features.encode_example(example))
                size += len(record)
                yield name, record

        for number, length in enumerate(lengths):
            path = template.sharded_filepath(shard_index=number, num_shards=len(lengths))
            self._example_writer().write(path, serialized(length))
        return [tfds.core.SplitInfo(name=SPLIT, shard_lengths=lengths, num_bytes=size, filename_template=template)]

    def build(self) -> None:
        """Makes the cache's entry, unless it is there; one process does so while others wait."""
        if self.data_path.exists():
            return
        with self.alone():
            self.start()  # another process may have built it, or deleted what it had read
            if self.data_path.exists():
                return
            self.notes  # noqa: B018  # the check runs outside TFDS, whose messages would stand around ours
            offline = tfds.download.DownloadConfig(try_download_gcs=False)
            with disk_errors_explained(self.entry, after=''), quiet():
                self.download_and_prepare(download_config=offline)
            sync_all(self.entry)


@contextmanager
def quiet() -> Iterator[None]:
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
