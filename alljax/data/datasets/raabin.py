"""Raabin-WBC (Kouzehkanan et al. 2022), the cropped, double-labeled cells: Train/, TestA/ and TestB/ of five classes.

The published protocol trains on Train and tests on TestA; TestB, of another microscope and camera, holds neutrophils
and lymphocytes only, and is on neither side. Folders as its users' code has them. Whole fields lie in folders of a
smear, called after its date in the Persian calendar (95-5-11-1); that crops bear it at the beginning of their names was
not confirmed: where they do it is their group, and where they do not no slide is known.
"""

import re
from pathlib import Path

from alljax.data.cells import Side
from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.data.datasets.published import PublishedCell, Refused

SOURCE = Source(
    'Raabin-WBC',
    'its terms stand at raabindata.com (the license was not confirmed)',
    'Z. M. Kouzehkanan et al., "A large dataset of white blood cells containing cell locations and types, along with '
    'segmented nuclei and cytoplasm", Scientific Reports 12:1123, 2022, doi 10.1038/s41598-021-04426-x',
)
KINDS = ('basophil', 'eosinophil', 'lymphocyte', 'monocyte', 'neutrophil')
CLASSES = {'classes': KINDS}
SIDES: dict[str, Side] = {'train': 'train', 'testa': 'test', 'testb': 'other'}
NAME = re.compile(rf'/(Train|Test[ _-]?A|Test[ _-]?B)/({"|".join(KINDS)})/([^/]+)$', re.IGNORECASE)
SMEAR = re.compile(r'9\d([-_])\d{1,2}\1\d{1,2}\1\d+(?=[-_])')


def list_cells(root: Path, task: str) -> Listing:
    """The cells below `root` by their folders, with the smear where a file's name begins with it."""
    return published.list_cells('raabin', root, CLASSES[task], SOURCE, _read)


def recognize(root: Path) -> str:
    """'classes' for a folder with Train/ and TestA/ or TestB/ of the set; '' for any other."""
    if not published.has(root, NAME):
        return ''
    names = {path.name.lower() for place in (root, *filter(Path.is_dir, root.iterdir())) for path in place.iterdir()}
    return 'classes' if names & {'testa', 'testb', 'test-a', 'test-b', 'test_a', 'test_b'} else ''


def _read(file: str) -> PublishedCell | Refused:
    match = NAME.search(f'/{file}')
    if not match:
        return Refused('not in a class folder of Train, TestA or TestB; move it away', wrong=True)
    smear = SMEAR.match(match[3])
    side = SIDES[re.sub('[ _-]', '', match[1].lower())]
    return PublishedCell(match[2].lower(), f'smear {smear[0]}' if smear else '', side)


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='Train/Basophil/…, TestA/Basophil/…, TestB/…', source=SOURCE
)
