"""C-NMC 2019 (ISBI challenge, TCIA): cells of 118 children cut out on black, leukemic (all) or not (hem).

The subject is in a file's name: UID_11_2_7_all.bmp is cell 7 of picture 2 of subject 11, UID_H10_1_1_hem.bmp one of
the healthy subject H10. The published protocol trains on the three folds of the training set, 10,661 cells, and tests
on the preliminary test set, 1,867 cells, whose names and labels stand in a table; of the final test set no labels were
published. Layouts of the archive and of Kaggle's copy, names and counts as their users' code has them; that no subject
is in two folds was not confirmed, and is not relied on.
"""

import re
from pathlib import Path

from alljax.data import folder_walk
from alljax.data.cells import Side
from alljax.data.datasets import published, tables
from alljax.data.datasets.listing import Dataset, Listing, Source
from alljax.data.datasets.published import PublishedCell, Refused

SOURCE = Source(
    'C-NMC 2019',
    'CC BY 3.0',
    'A. Gupta and R. Gupta, "ALL Challenge dataset of ISBI 2019", The Cancer Imaging Archive, 2019, doi '
    '10.7937/tcia.2019.dc64i46r',
    12528,
)
CLASSES = {'detection': ('blast', 'normal')}
LABELS = {'all': 'blast', 'hem': 'normal'}
CODES = {'1': 'blast', '0': 'normal'}  # in the table
NAME = re.compile(r'/UID_(H?\d+)_\d+_\d+_(all|hem)(?=\.\w+$|$)', re.IGNORECASE)
FOLDER = re.compile(r'/fold_(\d+)/(?:[^/]+/)*?(all|hem)/', re.IGNORECASE)
PRELIMINARY = re.compile(r'/[^/]*(prelim|validation)[^/]*/', re.IGNORECASE)
FINAL = re.compile(r'/[^/]*(final|testing)[^/]*/', re.IGNORECASE)
NUMBER = re.compile(r'/(\d+\.bmp)$', re.IGNORECASE)
TABLE = 'C-NMC_test_prelim_phase_data_labels.csv'


def list_cells(root: Path, task: str) -> Listing:
    """The cells of the folds, and those of the preliminary test set where it is there, with their subjects."""
    problems: list[str] = []
    place = published.unpacked(folder_walk.walk(root), TABLE)
    rows = tables.read(root / place, ('labels', 'patient_id'), problems, key='new_names') if place else {}

    def read(file: str) -> PublishedCell | Refused:
        return _read(file, rows)

    listing = published.list_cells('c_nmc_2019', root, CLASSES[task], SOURCE, read)
    listing.problems += problems
    if set(listing.sides.values()) == {'train', 'test'}:
        listing.notes.append(
            'the preliminary test set is one of the groups like the folds are; --config.split.protocol=given trains on '
            'the folds and tests on it, as published'
        )
    return listing


def recognize(root: Path) -> str:
    """'detection' for a folder with files of the set; '' for any other."""
    numbered_too = re.compile(f'{NAME.pattern}|{NUMBER.pattern}', re.IGNORECASE)
    named = published.has(root, numbered_too) and any(NAME.search(f'/{file}') for file in folder_walk.glimpse(root))
    return 'detection' if named else ''


def _read(file: str, rows: tables.Rows) -> PublishedCell | Refused:
    path = f'/{file}'
    preliminary = PRELIMINARY.search(path)
    if match := NAME.search(path):
        said = FOLDER.search(path)
        if said and said[2].lower() != match[2].lower():
            return Refused(f'named {match[2]} in a folder {said[2]}; move it to the right one', wrong=True)
        side: Side | None = 'train' if said else 'test' if preliminary else None
        return PublishedCell(LABELS[match[2].lower()], _subject(match[1]), side)
    if FINAL.search(path) and not preliminary:
        return Refused('of the final test set, whose labels were not published')
    number = NUMBER.search(path)
    if not number:
        return Refused('not named as in the set (UID_11_2_7_all.bmp); move it away', wrong=True)
    row = rows.get(number[1], {})
    match = NAME.search(f'/{row.get("patient_id", "")}')
    label = CODES.get(row.get('labels', ''))
    if not (match and label):
        return Refused(f'without a line in {TABLE} that tells its subject and label; add the table', wrong=True)
    if label != LABELS[match[2].lower()]:
        return Refused(f'labelled {label} in {TABLE}, where its name says {match[2]}; fix the line', wrong=True)
    return PublishedCell(label, _subject(match[1]), 'test')


def _subject(number: str) -> str:
    return f'UID_{number.upper()}'


DATASET = Dataset(
    list_cells, CLASSES, recognize=recognize, layout='fold_0/all/UID_11_2_7_all.bmp, fold_0/hem/…', source=SOURCE
)
