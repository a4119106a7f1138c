"""An explanation as it is asked for, and after every part of it was checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data.image_files import ImageFile, Unread
from alljax.explain.methods import Options
from alljax.explain.true_class import TrueClass
from alljax.runs.network import TrainedNetwork


class Request(NamedTuple):
    """An explanation as the user asks for it, before anything of it was looked at."""

    run: Path  # a run folder, or the model/ folder of one
    paths: Sequence[Path]  # images, or folders of them
    methods: Sequence[str]  # names of METHODS, 'all' alone for each of them, nothing for the default
    batch_size: int  # images at once
    target: str | None = None  # the class to explain, None for each image's predicted one
    layer: str = ''  # whose map the CAMs take, '' for the last before the head
    folder: Path | None = None  # a new or empty one, None for one of its own in the run's
    data: Path | None = None  # of the run's cells, None for where they were


class CheckedRequest(NamedTuple):
    """A request whose every part was found to make sense."""

    run: TrainedNetwork
    name: str  # of the run, as the user gave it
    folder: Path
    cells: list[ImageFile]
    unread: list[Unread]
    methods: list[str]
    options: Options
    target: int | None
    notes: list[str]  # what was left out, in sentences
    true_classes: Mapping[Path, TrueClass]  # of the cells whose class is known
