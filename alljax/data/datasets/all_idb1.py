"""ALL-IDB1 (Labati et al. 2011): 108 whole fields, im/Im001_1.jpg with a blast in it, Im034_0.jpg without.

As a classification set a field's label is whether it holds a blast. Its cells are cut out at the centroids of the
blasts (xyc/Im001_1.xyc, 510 in all) by `alljax crops`. The cells of ALL-IDB2 are cut out of these fields, so the two
are never on two sides of a test. The set is given on request by the University of Milan and may not be passed on. No
patients are told; fields 93 and 108 are equal.
"""

import re
from pathlib import Path

from alljax.data import folder_walk
from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.data.datasets.published import PublishedCell, Refused
from alljax.errors import some

SOURCE = Source(
    'ALL-IDB1',
    'on request, not to be passed on',
    'R. Donida Labati, V. Piuri and F. Scotti, "ALL-IDB: The acute lymphoblastic leukemia image database for image '
    'processing", ICIP 2011',
    108,
)
CLASSES = {'detection': ('blast', 'normal')}
NAME = re.compile(r'/Im(\d{3})_([01])\.jpe?g$', re.IGNORECASE)  # ALL-IDB2 has TIFF files
REPEATS = (93, 108)


def list_cells(root: Path, task: str) -> Listing:
    """The fields below `root`, which is the set's root, ALL_IDB1/ or im/."""
    listing = published.list_cells('all_idb1', root, CLASSES[task], SOURCE, _read)
    names = [record.file for record in listing.records]
    numbers = [Path(name).stem[2:5] for name in names]
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        listing.problems.append(f'Im{", Im".join(twice)}: are here more than once; keep one file of each number')
    marked = {Path(file).stem.lower() for file in folder_walk.walk(root).files if file.lower().endswith('.xyc')}
    without = [name for name in names if '_1.' in name and Path(name).stem.lower() not in marked]
    listing.notes.append(
        'whole fields, whose label is whether one holds a blast: in some of those with blasts an arrow is drawn, and '
        '33 of them are smaller than all fields without, which a network may go by'
        + (f'; no .xyc beside {some(without, 4)}, so their cells cannot be cut out' if without else '')
    )
    return listing


def recognize(root: Path) -> str:
    """'detection' for a folder with files of the set; '' for any other."""
    return 'detection' if published.has(root, NAME) else ''


def _read(file: str) -> PublishedCell | Refused:
    match = NAME.search(f'/{file}')
    if not match:
        return Refused('not named as in ALL-IDB1 (Im001_1.jpg)')
    repeat = f'repeat of Im{REPEATS[0]:03}' if int(match[1]) in REPEATS else ''
    return PublishedCell('blast' if match[2] == '1' else 'normal', repeat, repeat=repeat)


DATASET = Dataset(list_cells, CLASSES, recognize=recognize, layout='ALL_IDB1/im/Im001_1.jpg, xyc/…', source=SOURCE)
