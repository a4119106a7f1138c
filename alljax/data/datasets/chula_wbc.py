"""WBC_Dataset (Chulalongkorn University): fields of 1440×900 with YOLO boxes of five kinds of white cells.

WBC_Samples/train/images/B-30_0047.jpg and train/labels/B-30_0047.txt, as in its repository: the first letter is the
kind that the slide was chosen for, B-30 the slide. Chula-WBC-8, of the same university, is single cells with a
labels.csv: config.data.name=csv reads it once its header is path,label.
"""

import re
from pathlib import Path

from alljax.data import folder_walk
from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.errors import UserError

SOURCE = Source(
    'WBC_Dataset', 'MIT', 'singgihbekti/WBC_Dataset, Embedded System and IC Design Laboratory, Chulalongkorn University'
)
CLASSES: dict[str, tuple[str, ...]] = {'classes': ()}
NAME, BOXES = (re.compile(rf'/[BELMN]-\d+[A-Za-z]*_\d{{4}}\.{suffix}$') for suffix in ('jpe?g', 'txt'))


def list_cells(root: Path, task: str) -> Listing:
    """UserError that says how cells are made of the fields: no run takes whole ones."""
    raise UserError(published.crops_first(root, SOURCE, 'YOLO boxes'))


def recognize(root: Path) -> str:
    """'classes' for a folder with files of the set and a text of boxes for one of them; '' for any other."""
    if not published.has(root, NAME):
        return ''
    return 'classes' if any(BOXES.search(f'/{file}') for file in folder_walk.glimpse(root)) else ''


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='train/images/B-30_0047.jpg, train/labels/B-30_0047.txt',
    source=SOURCE, fields=True,
)  # fmt: skip
