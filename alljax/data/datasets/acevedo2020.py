"""Acevedo et al. 2020 (PBC_dataset_normal_DIB): 17,092 cells of healthy people in eight class folders.

They were taken by a CellaVision DM96. Layout, names and counts as its users' code has them; patients are not told.
Subsets of the folders are taken as well.
"""

import re
from pathlib import Path

from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.data.datasets.published import PublishedCell, Refused

SOURCE = Source(
    'Acevedo 2020',
    'CC BY 4.0',
    'A. Acevedo et al., "A dataset of microscopic peripheral blood cell images for development of automatic '
    'recognition systems", Data in Brief 30:105474, 2020, doi 10.17632/snkd93bnjr.1',
    17092,
)
FOLDERS = {
    'basophil': 'basophil', 'eosinophil': 'eosinophil', 'erythroblast': 'erythroblast', 'ig': 'immature granulocyte',
    'lymphocyte': 'lymphocyte', 'monocyte': 'monocyte', 'neutrophil': 'neutrophil', 'platelet': 'platelet',
}  # fmt: skip
CLASSES = {'classes': tuple(FOLDERS.values())}
# The letters of a file's name are finer classes: BNE and SNE are band and segmented neutrophils.
NAME = re.compile(
    rf'/({"|".join(FOLDERS)})/(BA|BNE|EO|ERB|IG|LY|MMY|MO|MY|NEUTROPHIL|PLATELET|PMY|SNE)_\d+\.jpe?g$', re.IGNORECASE
)


def list_cells(root: Path, task: str) -> Listing:
    """The cells below `root` by the folders that they lie in."""
    return published.list_cells('acevedo2020', root, CLASSES[task], SOURCE, _read)


def recognize(root: Path) -> str:
    """'classes' for a folder with files of the set; '' for any other."""
    return 'classes' if published.has(root, NAME) else ''


def _read(file: str) -> PublishedCell | Refused:
    match = NAME.search(f'/{file}')
    if not match:
        return Refused(
            f'not named as in the set ({", ".join(FOLDERS)}: BA_100102.jpg); move it away, or read the folder with '
            '--config.data.name=folder',
            wrong=True,
        )
    return PublishedCell(FOLDERS[match[1].lower()])


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='basophil/BA_100102.jpg, ig/MMY_10.jpg, …', source=SOURCE
)
