"""Any folder whose subfolders are classes, with an optional cells.csv (file,label,group) and an audit's groups.csv."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from alljax.data import crops_record, folder_walk
from alljax.data.datasets import all_idb2, layout, tables
from alljax.data.datasets.listing import (
    ALONE,
    GROUPS_CSV,
    NO_TABLE,
    Dataset,
    Listing,
    Record,
    apply_groups,
    say_grouping,
)
from alljax.data.folder_walk import LeftOut
from alljax.data.synthetic.folder import MARKER as SYNTHETIC
from alljax.errors import UserError, some

CELLS_CSV = 'cells.csv'
TASK = 'classes'
OWN = frozenset({'advice.html', 'audit.html', CELLS_CSV, GROUPS_CSV, crops_record.MARKER, SYNTHETIC})  # of ours
OTHER_SET = (
    'is ALL-IDB2, whose classes are not in folders; use --config=configs/detection.py, or configs/subtype.py with a '
    'subtypes.csv (--config.data.name=all_idb2)'
)
FORMAT = 'in no format that is read; convert them to PNG or TIFF'
# Files that are no pictures; any other whose format is not read could be one.
DOCUMENTS = frozenset(
    {'.bib', '.cfg', '.csv', '.doc', '.docx', '.gz', '.htm', '.html', '.ini', '.ipynb', '.json', '.jsonl'}
    | {'.lnk', '.log', '.mat', '.md', '.md5', '.pdf', '.ppt', '.pptx', '.py', '.rst', '.sh', '.sha256'}
    | {'.tar', '.toml', '.tsv', '.txt', '.url', '.xls', '.xlsx', '.xml', '.yaml', '.yml', '.zip'}
)
BARE_DOCUMENTS = frozenset({'authors', 'changelog', 'citation', 'copying', 'licence', 'license', 'notice', 'readme'})


def list_cells(root: Path, task: str = TASK) -> Listing:
    """The images in the class folders of `root`, whose names are the classes; UserError if there are none.

    A cells.csv that labels every image may lie beside any layout.
    """
    drawn = (root / SYNTHETIC).is_file()
    listing = Listing('folder', root, (), drawn, greyscale=True, group_table=CELLS_CSV)
    contents = folder_walk.walk(root)
    pictures, masks = folder_walk.images(root, contents)
    listing.problems += [f'{root / file}: {reason}' for file, reason in contents.unreadable]
    cells_csv, groups_csv = (tables.find(root, name, listing.problems) for name in (CELLS_CSV, GROUPS_CSV))
    listing.groups_csv = groups_csv  # under the name that it has
    there = [name for name, path in ((CELLS_CSV, cells_csv), (GROUPS_CSV, groups_csv)) if path]
    problems, notes = tables.unread(root, contents.files, (CELLS_CSV, GROUPS_CSV), there)
    listing.problems += problems
    rows = tables.read(cells_csv, ('label', 'group'), listing.problems) if cells_csv else {}
    matches = tables.match(rows, [*pictures, *(mask.file for mask in masks)])
    named = {file: rows[name] for name, file in matches.files.items()}
    loose = [file for file in pictures if '/' not in file and file not in named]
    taken = sorted({*pictures, *named} - set(loose))
    if not taken:
        _refuse_nothing(root, contents.files)
    listing.records = [Record(file, _folder_label(file), tables.normal(file)) for file in taken]
    listing.problems += layout.same_names(taken)
    _say_left_out(listing, contents, [mask for mask in masks if mask.file not in named], loose)
    if rows:
        _apply_table(listing, matches, named)
    if not all(named.get(file, {}).get('label') for file in taken):
        listing.problems += _layout_problems(root, taken)
    groups = apply_groups(listing, groups_csv) if groups_csv else NO_TABLE
    listing.notes += notes
    say_grouping(listing, crops_record.unnamed_groups(root), groups)
    if listing.grouping == 'unknown' and not rows:
        listing.notes.append(f'no {CELLS_CSV}: {ALONE}, so cells of one slide may be on both sides')
    listing.classes = tuple(sorted({record.label for record in listing.records}))
    listing.problems += layout.twins(root, _class_names(listing.records), CELLS_CSV)
    if len(listing.classes) == 1 and not listing.problems:
        listing.problems.append(
            f'{root}: holds one class only ({listing.classes[0]}); expected at least two, or ALL-IDB2 with its own '
            'file names (img/Im001_1.tif)'
        )
    return listing


def recognize(root: Path) -> str:
    """'classes' for a folder with images in subfolders, or with a cells.csv beside them; '' for any other folder."""
    pictures = [file for file in folder_walk.walk(root).files if folder_walk.is_image(file)]
    table = pictures and tables.find(root, CELLS_CSV, [])
    return TASK if table or any('/' in file for file in pictures) else ''


def _folder_label(file: str) -> str:
    """The class that the outermost folder of a file names; '' for a file in none."""
    return tables.normal(file.partition('/')[0]) if '/' in file else ''


def _class_names(records: Sequence[Record]) -> set[str]:
    """The classes as the folders' names are on disk, or as cells.csv has them."""
    return {
        record.file.partition('/')[0] if record.label == _folder_label(record.file) else record.label
        for record in records
    }


def _layout_problems(root: Path, files: Sequence[str]) -> list[str]:
    """Sentences on why the outer folders are no classes."""
    if all_idb2.recognize(root):
        return [f'{root}: {OTHER_SET}']
    return layout.problems(root, files, CELLS_CSV)


def _refuse_nothing(root: Path, files: Sequence[str]) -> None:
    """UserError for a folder without class folders that hold images."""
    if all_idb2.recognize(root):
        raise UserError(f'{root}: {OTHER_SET}')
    lost = sorted({Path(file).suffix.lower() or 'no suffix' for file in files if _may_be_picture(file)})
    formats = f' (files with {some(lost, 4)} are {FORMAT})' if lost else ''
    found = some([path.name for path in folder_walk.visible(root)], 4) or 'nothing'
    raise UserError(
        f'{root}: holds {found}, expected one folder of images for each class{formats}; correct --config.data.root, or '
        f'label the images in {CELLS_CSV} (file,label,group)'
    )


def _say_left_out(
    listing: Listing, contents: folder_walk.FolderContents, masks: Sequence[LeftOut], loose: Sequence[str]
) -> None:
    """Adds a note for everything that is not taken, and a problem for each class of which nothing is."""
    others = [file for file in contents.files if not folder_walk.is_image(file) and not _is_own(file.lower())]
    others = [file for file in others if '/' in file or not file.endswith(tables.SPREADSHEETS)]
    lost = [file for file in others if '/' in file and _may_be_picture(file)]
    classes = {record.file.partition('/')[0] for record in listing.records}
    by_folder: dict[str, list[str]] = {}
    for file in lost:
        by_folder.setdefault(file.partition('/')[0], []).append(file)
    listing.problems += [
        f'{listing.root / folder}: holds no image that can be read ({some(files, 3)}), so the class would be lost; '
        'convert its files to PNG or TIFF, or move the folder away'
        for folder, files in by_folder.items()
        if folder not in classes
    ]
    documents = [file for file in others if file not in set(lost)]
    if documents:
        listing.notes.append(
            f'{some(documents, 4)}: no images, so they are left out; move them away to be rid of this note'
        )
    kept = [LeftOut(file, FORMAT) for folder, files in by_folder.items() for file in files if folder in classes]
    beside = f'beside the class folders; move them into one, or label them in {CELLS_CSV}'
    left_out = [*kept, *(LeftOut(file, beside) for file in loose), *masks, *contents.left_out]
    listing.notes += folder_walk.notes(left_out)
    with_files = {file.partition('/')[0] for file in contents.files}
    empty = [folder for folder in contents.folders if '/' not in folder and folder not in with_files]
    if empty:
        listing.notes.append(f'{some(empty)}: empty, so no class of the run')


def _is_own(file: str) -> bool:
    return file in OWN or bool(tables.OURS.fullmatch(file))


def _may_be_picture(file: str) -> bool:
    path = Path(file.lower())
    return not (folder_walk.is_image(file) or path.suffix in DOCUMENTS or path.name in BARE_DOCUMENTS)


def _apply_table(listing: Listing, matches: tables.Matches, named: Mapping[str, Mapping[str, str]]) -> None:
    """Labels and groups from cells.csv, whose lines and the images in the class folders have to be the same set."""
    unlisted = [record.file for record in listing.records if record.file not in named]
    listing.problems += tables.match_problems(CELLS_CSV, matches)
    if matches.unknown:
        listing.problems.append(
            f'{CELLS_CSV}: {some(matches.unknown, 4)} named there but not in the folder; fix or delete the lines'
        )
    if unlisted and not matches.ambiguous:
        listing.problems.append(
            f'{CELLS_CSV}: {some(sorted(unlisted), 4)} in the folder but not named there; add the lines'
        )
    folders = {record.label for record in listing.records} - {''}
    records = []
    for record in listing.records:
        row = named.get(record.file, {})
        label = row.get('label') or record.label
        if not label:
            listing.problems.append(f'{CELLS_CSV}: {record.file} lies in no class folder and has no label; add one')
        if record.label and label != record.label and label in folders:
            listing.problems.append(
                f'{CELLS_CSV}: {record.file} is labelled {label} but lies in {record.label}/; move it or fix the line'
            )
        records.append(record._replace(label=label, group=row.get('group') or record.group))
    listing.records = records


DATASET = Dataset(
    list_cells, tasks={TASK: ()}, version='1.1.0', recognize=recognize, layout='CLASS/… for each class', general=True
)
