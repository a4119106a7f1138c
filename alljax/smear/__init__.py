"""Whole microscope fields and a run: white cells found, cropped, classified and counted, and one page of it all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.errors import UserError
from alljax.predict import Predictor, gallery
from alljax.smear import answers, cells_table, differential, page, search
from alljax.smear.differential import Differential
from alljax.smear.found_cells import FoundCell, SearchedField
from alljax.storage import progress_bar
from alljax.storage.atomic import new_folder
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import write_text

__all__ = ['PAGE', 'Examined', 'Request', 'examine']

PAGE, TABLE = 'smear.html', 'cells.csv'


class Request(NamedTuple):
    """What is asked for."""

    run: Predictor
    path: Path  # of the run, as the user gave it
    files: Sequence[Path]  # the fields
    folder: Path  # new or empty
    cell_pixels: float = 0.0  # the diameter of a white cell; 0 to estimate it in each field
    blasts: Sequence[str] | None = None  # classes; None for those called so


class Examined(NamedTuple):
    """What was found."""

    fields: Sequence[SearchedField]
    cells: Sequence[FoundCell]
    differential: Differential
