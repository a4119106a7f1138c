"""AML-Cytomorphology_LMU (Matek et al. 2019, TCIA): 18,365 cells of 100 patients with AML and 100 without, 15 classes.

One folder for each class code, NGS/NGS_0001.tiff, and annotations.dat, a line for each file: its path, its label, and
two later annotations, 'nan' for most cells. The label is the first, as in the folders. Files do not tell the patients.
Layout, codes and counts as its users' code has them. That Matek et al. mean myeloblasts and monoblasts by blasts was
not confirmed from the article itself.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from alljax.data import folder_walk
from alljax.data.datasets import published
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.data.datasets.published import PublishedCell, Refused
from alljax.errors import some

SOURCE = Source(
    'AML-Cytomorphology LMU',
    'CC BY 3.0',
    'C. Matek, S. Schwarz, C. Marr and K. Spiekermann, "A Single-cell Morphological Dataset of Leukocytes from AML '
    'Patients and Non-malignant Controls", The Cancer Imaging Archive, 2019, doi 10.7937/tcia.2019.36f5o9ld',
    18365,
)
CODES = {
    'BAS': 'basophil', 'EBO': 'erythroblast', 'EOS': 'eosinophil', 'KSC': 'smudge cell', 'LYA': 'atypical lymphocyte',
    'LYT': 'lymphocyte', 'MMZ': 'metamyelocyte', 'MOB': 'monoblast', 'MON': 'monocyte', 'MYB': 'myelocyte',
    'MYO': 'myeloblast', 'NGB': 'band neutrophil', 'NGS': 'segmented neutrophil', 'PMB': 'bilobed promyelocyte',
    'PMO': 'promyelocyte',
}  # fmt: skip
BLASTS = frozenset({'MYO', 'MOB'})
NORMAL = frozenset({'BAS', 'EOS', 'LYT', 'MON', 'NGB', 'NGS'})  # kinds that healthy blood has
CLASSES = {'classes': tuple(CODES.values()), 'detection': ('blast', 'normal')}
NAME = re.compile(rf'/({"|".join(CODES)})/\1_\d+\.tiff?$', re.IGNORECASE)
TABLE = 'annotations.dat'


def list_cells(root: Path, task: str) -> Listing:
    """The cells below `root`: by class, or for 'detection' blasts and the kinds that healthy blood has."""

    def read(file: str) -> PublishedCell | Refused:
        match = NAME.search(f'/{file}')
        if not match:
            return Refused('not named as in the set (NGS/NGS_0001.tiff); move it away', wrong=True)
        code = match[1].upper()
        if task == 'classes':
            return PublishedCell(CODES[code])
        if code not in BLASTS | NORMAL:
            return Refused('neither blasts nor cells of healthy blood; --config.data.task=classes takes all')
        return PublishedCell('blast' if code in BLASTS else 'normal')

    listing = published.list_cells('aml_munich', root, CLASSES[task], SOURCE, read)
    _check_annotations(listing)
    return listing


def recognize(root: Path) -> str:
    """'classes' for a folder with files of the set; '' for any other."""
    return 'classes' if published.has(root, NAME) else ''


def _check_annotations(listing: Listing) -> None:
    """Adds a problem for labels that are not the folder's, and a note on cells that were annotated again."""
    file = published.unpacked(folder_walk.walk(listing.root), TABLE)
    if not file:
        listing.notes.append(f'no {TABLE}: how far experts agree on these cells is not known here')
        return
    lines = [line.split() for line in (listing.root / file).read_text('utf-8', errors='replace').splitlines()]
    known = {line[0].rpartition('/')[2].lower(): line[1:] for line in lines if len(line) >= 2}
    here = [(record.file, known.get(record.file.rpartition('/')[2].lower(), [])) for record in listing.records]
    wrong = [name for name, said in here if said and said[0].upper() != _code(name)]
    if wrong:
        listing.problems.append(
            f'{some(wrong, 4)}: {TABLE} has another label for {"it" if len(wrong) == 1 else "them"} than the folder; '
            'move the files to the folder of their label, or restore the set'
        )
    again = [(name, _known(said[1:])) for name, said in here if _known(said[1:])]
    apart = [name for name, labels in again if any(label != _code(name) for label in labels)]
    listing.notes.append(
        f'{TABLE}: experts looked at {len(again):,} of the {len(here):,} cells again, and gave {len(apart):,} another '
        'label at least once; the first label is used'
    )


def _known(labels: Sequence[str]) -> list[str]:
    return [label.upper() for label in labels if label.lower() != 'nan']


def _code(file: str) -> str:
    return file.split('/')[-2].upper()


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='NGS/NGS_0001.tiff, MYO/MYO_0001.tiff, …', source=SOURCE
)
