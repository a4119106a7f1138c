"""ALL-IDB2 as its users have it on disk (Labati et al. 2011): single cells, `_1` a blast, `_0` normal.

The data set is given on request by the University of Milan and may not be passed on: nothing here downloads it.
"""

import re
from pathlib import Path

from alljax.data import image
from alljax.data.datasets import tables
from alljax.data.datasets.listing import GROUPS_CSV, Dataset, Listing, Record, Source, apply_groups, say_grouping
from alljax.data.folder_walk import visible
from alljax.data.synthetic.folder import MARKER, drawn_counts
from alljax.errors import UserError, some

CLASSES = {'detection': ('blast', 'normal'), 'subtype': ('L1', 'L2', 'L3', 'normal')}
BLASTS, CELLS = 130, 260  # numbers 001–130 are blasts, 131–260 normal
NAME = re.compile(r'Im(\d{3,})_([01])\.(?i:tiff?)')
SUBTYPES_CSV = 'subtypes.csv'
NO_IMAGES = (SUBTYPES_CSV, GROUPS_CSV, 'pairs.csv', 'audit.html', MARKER)  # that may lie beside the images
# Pairs reported as the same cell in shifted crops, 223 and 257 as equal ones. There is no published list of patients.
REPEATS = ((25, 28, 31), (134, 245), (135, 244), (138, 146), (171, 211), (222, 256), (223, 257), (225, 259))


def list_cells(root: Path, task: str) -> Listing:
    """The cells under `root`, which is the set's root, ALL_IDB2/ or img/, for 'detection' or 'subtype'.

    Drawn cells of the same layout are told by their synthetic.json. UserError for a folder of another layout.
    """
    home, img = locate(root)
    problems: list[str] = []
    marker, groups, subtypes = (find_table(name, home, img, problems) for name in (MARKER, GROUPS_CSV, SUBTYPES_CSV))
    blasts, cells = drawn_counts(marker) if marker else (BLASTS, CELLS)
    listing = Listing(
        'synthetic' if marker else 'all_idb2',
        home,
        CLASSES[task],
        synthetic=marker is not None,
        groups_csv=groups or home / GROUPS_CSV,
        problems=problems,
    )
    numbers = _list_images(listing, img, blasts, cells)
    _list_extra(listing)
    if home != img:
        _list_beside(listing, [name for name, path in ((GROUPS_CSV, groups), (SUBTYPES_CSV, subtypes)) if path])
    _apply_subtypes(listing, subtypes, task)
    _apply_groups(listing, groups, numbers)
    return listing


def recognize(root: Path) -> str:
    """The task that a folder of this set has the tables for; '' for a folder without files named as in ALL-IDB2."""
    try:
        home, img = locate(root)
    except UserError:
        return ''
    if not any(NAME.fullmatch(path.name) for path in img.iterdir()):
        return ''
    return 'subtype' if find_table(SUBTYPES_CSV, home, img, []) else 'detection'


def locate(root: Path) -> tuple[Path, Path]:
    """The folder of the tables and that of the images, whichever of the three the user named."""
    for home in (root, *(p for p in root.iterdir() if p.is_dir() and p.name.lower() in ('all_idb2', 'all-idb2'))):
        for img in home.iterdir():
            if img.is_dir() and img.name.lower() == 'img':
                return home, img
    if root.name.lower() == 'img':
        return root.parent, root
    if any(NAME.fullmatch(p.name) for p in root.iterdir()):
        return root, root
    found = some([p.name for p in visible(root)], 4) or 'nothing'
    raise UserError(
        f'{root}: holds {found}, expected ALL_IDB2/img/ with Im001_1.tif … ; correct '
        '--config.data.root, or use --config=configs/folder.py for class folders'
    )


def find_table(name: str, home: Path, img: Path, problems: list[str]) -> Path | None:
    """A table of that name, wherever users put it; None if it is nowhere.

    Two in one folder that differ by case only are added to `problems`.
    """
    found = (tables.find(folder, name, problems) for folder in dict.fromkeys((img, home, home.parent)))
    return next(filter(None, found), None)


def _list_images(listing: Listing, img: Path, blasts: int, cells: int) -> dict[str, int]:
    """Lists img/ under its strict names; returns file → number."""
    numbers: dict[str, int] = {}
    first: dict[int, str] = {}
    for path in visible(img):
        if path.name.lower() in NO_IMAGES or tables.OURS.fullmatch(path.name):
            continue
        if img == listing.root and path.name == 'extra':
            continue
        match = NAME.fullmatch(path.name)
        if match and not path.is_file():
            listing.problems.append(f'{path.name}: is no file; replace it by the image, or move it away')
            continue
        if not match:
            listing.problems.append(
                f'{path.name}: is not named as in ALL-IDB2 (Im001_1.tif); rename it or move it away'
            )
            continue
        number, kind = int(match[1]), match[2]
        if number in first:
            listing.problems.append(f'{first[number]} and {path.name}: are the same number twice; delete one')
            continue
        first[number] = path.name
        if not 1 <= number <= cells:
            listing.problems.append(f'{path.name}: expected numbers 001 to {cells}; put further blasts under extra/')
        elif (kind == '1') != (number <= blasts):
            there, says = ('blasts', 'normal') if number <= blasts else ('normal cells', 'blast')
            span = f'001–{blasts:03}' if number <= blasts else f'{blasts + 1:03}–{cells:03}'
            listing.problems.append(f'{path.name}: the name says {says}, but {span} are {there}; restore its name')
        file = path.relative_to(listing.root).as_posix()
        numbers[file] = number
        listing.records.append(Record(file, 'blast' if kind == '1' else 'normal', path.stem))
    missing = [f'Im{n:03}_{int(n <= blasts)}.tif' for n in range(1, cells + 1) if n not in first]
    if missing:
        listing.problems.append(f'{img}: {len(missing)} of {cells} files are missing ({some(missing, 4)}); add them')
    return numbers


def _list_beside(listing: Listing, found: list[str]) -> None:
    """Tells of files beside img/, which are not taken; `found` are the tables that are."""
    files = [path.name for path in visible(listing.root) if not path.is_dir()]
    problems, notes = tables.unread(listing.root, files, (SUBTYPES_CSV, GROUPS_CSV), found)
    listing.problems += problems
    images = [name for name in files if Path(name).suffix.lower() in image.SUFFIXES]
    listing.notes += notes + ([f'{some(images, 4)}: left out (beside img/; move them into it)'] if images else [])


def _list_extra(listing: Listing) -> None:
    """Further blasts, sorted by subtype into extra/L1, extra/L2, extra/L3, under any names."""
    extra = listing.root / 'extra'
    if not extra.is_dir():
        return
    for folder in visible(extra):
        if folder.name not in CLASSES['subtype'][:3] or not folder.is_dir():
            listing.problems.append(f'extra/{folder.name}: expected the folders L1, L2 and L3 in extra/; move it there')
            continue
        for path in visible(folder):
            file = path.relative_to(listing.root).as_posix()
            if path.suffix.lower() not in image.SUFFIXES:
                listing.problems.append(f'{file}: is no image; move it away')
                continue
            listing.records.append(Record(file, folder.name, f'{folder.name}/{path.stem}'))


def _apply_subtypes(listing: Listing, path: Path | None, task: str) -> None:
    """Replaces 'blast' by its subtype, or every subtype by 'blast', as the task asks."""
    if task == 'detection':
        listing.records = [r._replace(label=r.label if r.label == 'normal' else 'blast') for r in listing.records]
        return
    if path is None:
        listing.problems.append(
            f'{listing.root}/subtypes.csv: is missing; write a line "file,subtype" for each blast (L1, L2, L3; no list '
            'was published), or train --config=configs/detection.py, which needs none'
        )
        return
    rows = tables.read(path, ('subtype',), listing.problems)
    names = {Path(record.file).name: record for record in listing.records if not record.file.startswith('extra/')}
    known = {name.lower(): name for name in CLASSES['subtype']}
    problems, labels = [], {}
    for file, row in rows.items():
        record, said = names.get(Path(file).name), row['subtype']
        label = known.get(said.lower())
        if record is None:
            problems.append(f'{path.name}: {file} is not among the images; correct the name or delete the line')
        elif label is None:
            problems.append(f'{path.name}: {file} has the subtype {said!r}, expected L1, L2, L3 or normal')
        elif (label == 'normal') != (record.label == 'normal'):
            problems.append(f'{path.name}: {file} is labelled {label}, but its name says {record.label}; fix the line')
        else:
            labels[record.file] = label
    said_of = {Path(file).name for file in rows}
    without = [name for name, record in names.items() if record.label == 'blast' and name not in said_of]
    if without and rows:
        problems.append(f'{path.name}: {len(without)} blasts have no subtype ({some(without, 4)}); add their lines')
    listing.problems += problems
    listing.records = [r._replace(label=labels.get(r.file, r.label)) for r in listing.records]


def _apply_groups(listing: Listing, path: Path | None, numbers: dict[str, int]) -> None:
    """Groups from groups.csv, else the reported repeats; a cell of which nothing is known stands alone."""
    repeats = {number: f'repeat of {same[0]:03}' for same in REPEATS for number in same}
    if path is not None:
        own = [*(record.group for record in listing.records), *repeats.values()]
        say_grouping(listing, own, apply_groups(listing, path))
        return
    listing.records = [
        r._replace(group=repeats.get(numbers[r.file], r.group)) if r.file in numbers else r for r in listing.records
    ]
    listing.grouping = 'repeats only'
    listing.unnamed_groups = frozenset(record.group for record in listing.records)
    listing.notes.append(
        'no groups.csv: only the published repeats are kept together; other cells of one patient may be on both sides'
    )


SOURCE = Source(
    'ALL-IDB2',
    'on request, not to be passed on',
    'R. Donida Labati, V. Piuri and F. Scotti, "ALL-IDB: The acute lymphoblastic leukemia image database for image '
    'processing", ICIP 2011',
    CELLS,
)
DATASET = Dataset(
    list_cells, CLASSES, version='1.1.0', recognize=recognize, layout='ALL_IDB2/img/Im001_1.tif', source=SOURCE
)
