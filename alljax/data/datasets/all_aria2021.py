"""Aria et al. 2021 (Kaggle, Taleqani Hospital): 3,256 fields of 89 people suspected of ALL, Benign, Early, Pre and Pro.

A label is a whole field's, and a field holds several cells: a network may well answer by what surrounds them. Scale
bars that were drawn over a field are covered. Segmented/ holds the same fields without their background, and is left
out. Layout, names, counts and license as its users' code and cards have them; patients are not told.
"""

import re
from pathlib import Path

from alljax.data import folder_walk, scale_bars
from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.data.datasets.published import SEGMENTED, PublishedCell, Refused

SOURCE = Source(
    'ALL image dataset (Aria 2021)',
    'ODbL 1.0, contents of the original authors',
    'M. Aria et al., "Acute Lymphoblastic Leukemia (ALL) image dataset", Kaggle, 2021, doi 10.34740/KAGGLE/DSV/2175623',
    3256,
)
KINDS = ('benign', 'early', 'pre', 'pro')
CLASSES = {'classes': KINDS, 'detection': ('blast', 'normal')}
NAME = re.compile(r'/WBC-(Benign|Malignant-(?:Early|Pre|Pro))-\d+\.(?:jpe?g|png)$', re.IGNORECASE)


def list_cells(root: Path, task: str) -> Listing:
    """The fields below `root`: by stage, or for 'detection' benign ones as normal and all others as blast."""
    segmented = published.without_segmented(folder_walk.walk(root).files)

    def read(file: str) -> PublishedCell | Refused:
        match = NAME.search(f'/{file}')
        if not match:
            return Refused('not named as in the set (WBC-Benign-001.jpg); move it away', wrong=True)
        if segmented and SEGMENTED.search(file):
            return segmented
        kind = match[1].lower().rpartition('-')[2]
        return PublishedCell(kind if task == 'classes' else 'normal' if kind == 'benign' else 'blast')

    listing = published.list_cells('all_aria2021', root, CLASSES[task], SOURCE, read)
    listing.read = scale_bars.read
    listing.notes.append('whole fields, whose label is of the field; scale bars drawn over them are covered')
    return listing


def recognize(root: Path) -> str:
    """'classes' for a folder with files of the set; '' for any other."""
    return 'classes' if published.has(root, NAME) else ''


DATASET = Dataset(list_cells, CLASSES, recognize=recognize, layout='Original/Benign/WBC-Benign-001.jpg', source=SOURCE)
