"""BloodMNIST (MedMNIST v2, Yang et al. 2023): the cells of Acevedo 2020 at 28 to 224 pixels in one NumPy archive.

bloodmnist.npz, or bloodmnist_64.npz, _128 and _224, holds {train,val,test}_images, uint8 [cells, side, side, 3], and
{train,val,test}_labels, [cells, 1]: 11,959, 1,712 and 3,421 cells. Its split is by picture, and patients are not told.
Keys, classes, counts and license as MedMNIST's own table has them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alljax.data import npz_pictures
from alljax.data.cells import Side
from alljax.data.datasets.listing import Dataset, Listing, Record, Source
from alljax.data.folder_walk import visible
from alljax.data.picture import ImageError
from alljax.errors import UserError, some

SOURCE = Source(
    'BloodMNIST',
    'CC BY 4.0',
    'J. Yang et al., "MedMNIST v2", Scientific Data 10:41, 2023, doi 10.1038/s41597-022-01721-8, and Acevedo et al. '
    '2020, whose cells they are',
    17092,
)
KINDS = (
    'basophil', 'eosinophil', 'erythroblast', 'immature granulocyte', 'lymphocyte', 'monocyte', 'neutrophil',
    'platelet',
)  # fmt: skip
CLASSES = {'classes': KINDS}
SIDES: dict[str, Side] = {'train': 'train', 'val': 'validation', 'test': 'test'}
PREFIX = 'bloodmnist'


def list_cells(root: Path, task: str) -> Listing:
    """The cells of the archive that `root` is, or of the only one in it; UserError if there is none, or several."""
    archive = _archive(root)
    listing = Listing('medmnist_blood', archive.parent, CLASSES[task], reads_groups=False)
    alike: dict[bytes, list[str]] = {}  # pictures by their pixels
    for key, side in SIDES.items():
        labels, images = (_array(archive, f'{key}_{part}', listing.problems) for part in ('labels', 'images'))
        if labels is None or images is None:
            continue
        if len(images) != len(labels) or images.ndim != 4 or images.shape[3] != 3:
            listing.problems.append(
                f'{archive}: {key}_images is {images.shape} beside {len(labels)} labels, expected [cells, side, side, '
                '3]; replace it by an intact copy'
            )
            continue
        numbers = labels.reshape(len(labels), -1)[:, 0].astype(int)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(KINDS):
            listing.problems.append(f'{archive}: {key}_labels are not 0 to {len(KINDS) - 1}; replace it by BloodMNIST')
            continue
        for number, (label, pixels) in enumerate(zip(numbers.tolist(), images, strict=True)):
            name = npz_pictures.name(archive.name, key, number)
            alike.setdefault(hashlib.sha256(pixels.tobytes()).digest(), []).append(name)
            listing.records.append(Record(name, KINDS[label], name))
            listing.sides[name] = side
    _join(listing, [same for same in alike.values() if len(same) > 1])
    present = {record.label for record in listing.records}
    listing.classes = tuple(kind for kind in KINDS if kind in present)
    listing.unnamed_groups = frozenset(record.group for record in listing.records)
    listing.notes += [
        SOURCE.note(),
        'patients are not told, and the published split is by picture: cells of one patient may be on both sides; '
        '--config.split.protocol=given takes it as it is',
    ]
    return listing


def _join(listing: Listing, repeats: Sequence[Sequence[str]]) -> None:
    """Gives equal pictures one group: nobody can delete them from an archive."""
    first = {name: same[0] for same in repeats for name in same}
    listing.records = [
        record._replace(group=first[record.file], repeat=first[record.file]) if record.file in first else record
        for record in listing.records
    ]
    if repeats:
        listing.grouping = 'repeats only'
        listing.notes.append(f'{len(first)} pictures are equal to others, and kept together by a grouped split')


def recognize(root: Path) -> str:
    """'classes' for an archive of the set, or a folder with one; '' for any other."""
    return 'classes' if _archives(root) else ''


def _archives(root: Path) -> list[Path]:
    files = [root] if root.is_file() else visible(root) if root.is_dir() else []
    return [path for path in files if path.suffix.lower() == '.npz' and path.name.lower().startswith(PREFIX)]


def _archive(root: Path) -> Path:
    found = _archives(root)
    if len(found) == 1:
        return found[0]
    names = some([path.name for path in found or visible(root) if root.is_dir()], 4) or 'nothing'
    raise UserError(
        f'{root}: holds {names}, expected one archive of BloodMNIST (bloodmnist_64.npz); name the file itself with '
        '--config.data.root'
    )


def _array(archive: Path, key: str, problems: list[str]) -> np.ndarray | None:
    try:
        return npz_pictures.array(archive, key)
    except ImageError as error:
        if str(error) not in (said.partition(': ')[2] for said in problems):
            problems.append(f'{archive}: {error}')
        return None


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='bloodmnist_64.npz', source=SOURCE, file_as_root=True
)
