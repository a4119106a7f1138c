"""BCCD (Shenggan): 364 fields of 640×480 with Pascal VOC boxes of WBC, RBC and Platelets; no single cells.

JPEGImages/BloodImage_00000.jpg and Annotations/BloodImage_00000.xml, as its README has them.
"""

import re
from pathlib import Path

from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.errors import UserError

SOURCE = Source('BCCD', 'MIT', 'Shenggan/BCCD_Dataset', 364)
CLASSES: dict[str, tuple[str, ...]] = {'classes': ()}
NAME = re.compile(r'/BloodImage_\d{5}\.jpe?g$', re.IGNORECASE)


def list_cells(root: Path, task: str) -> Listing:
    """UserError that says how cells are made of the fields: no run takes whole ones."""
    raise UserError(published.crops_first(root, SOURCE, 'Pascal VOC boxes'))


def recognize(root: Path) -> str:
    """'classes' for a folder with files of the set; '' for any other."""
    return 'classes' if published.has(root, NAME) else ''


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='JPEGImages/BloodImage_00000.jpg, Annotations/…', source=SOURCE,
    fields=True,
)  # fmt: skip
