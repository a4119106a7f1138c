"""Class folders that somebody divided already: train/blast/1.png, test/blast/2.png, and val/ if there is one.

The sides are kept by --config.split.protocol=given; any other protocol merges them. They are told by their names, as
torchvision's ImageFolder users call them. A cells.csv (file,label,group) or groups.csv beside them names slides.
"""

from pathlib import Path

from alljax.data import folder_walk
from alljax.data.datasets import layout, tables
from alljax.data.datasets.folder import CELLS_CSV, TASK
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
from alljax.errors import UserError, some

WRAPPED = 3  # folders, each alone in the one before, at most


def list_cells(root: Path, task: str = TASK) -> Listing:
    """The images in the class folders of each side; UserError for a folder without sides to train and to test on."""
    home = _home(root)
    if home is None:
        found = some([path.name for path in folder_walk.visible(root)], 4) or 'nothing'
        raise UserError(
            f'{root}: holds {found}, expected train/ and test/, and val/ if there is one, each with a folder of images '
            'for each class; correct --config.data.root, or set --config.data.name=folder'
        )
    root, contents = home, folder_walk.walk(home)
    pictures, masks = folder_walk.images(root, contents)
    sides = layout.sides(path.name for path in folder_walk.visible(root) if path.is_dir())
    listing = Listing('split_folders', root, (), greyscale=True, group_table=CELLS_CSV)
    listing.problems += [f'{root / file}: {reason}' for file, reason in contents.unreadable]
    taken = [file for file in pictures if file.count('/') > 1]  # side, class, file
    loose = sorted(set(pictures) - set(taken))
    if loose:
        listing.problems.append(f'{some(loose, 4)}: in no class folder of a side; move them into one, or away')
    listing.records = [Record(file, tables.normal(file.split('/')[1]), tables.normal(file)) for file in taken]
    listing.sides = {file: sides[file.partition('/')[0]] for file in taken}
    listing.problems += layout.same_names(taken)
    listing.notes += folder_walk.notes([*masks, *contents.left_out])
    listing.notes.append(
        f'{some(sorted(sides), 4)} are sides of a split: --config.split.protocol=given keeps them, all other protocols '
        'merge them'
    )
    _apply_tables(listing)
    listing.classes = tuple(sorted({record.label for record in listing.records}))
    listing.problems += layout.twins(root, {file.split('/')[1] for file in taken}, CELLS_CSV)
    listing.problems += _one_sided(listing)
    return listing


def recognize(root: Path) -> str:
    """'classes' for a folder of sides with class folders; '' for any other."""
    home = _home(root) if root.is_dir() else None
    pictures = [file for file in folder_walk.glimpse(home) if folder_walk.is_image(file)] if home else []
    return TASK if any(file.count('/') > 1 for file in pictures) else ''


def _home(root: Path) -> Path | None:
    """The folder of the sides: `root`, or the one that is alone in it, as an archive unpacks; None without sides."""
    for _ in range(WRAPPED):
        folders = [path for path in folder_walk.visible(root) if path.is_dir()]
        if layout.sides(path.name for path in folders):
            return root
        if len(folders) != 1:
            return None
        root = folders[0]
    return None


def _apply_tables(listing: Listing) -> None:
    """Takes labels and groups from a cells.csv, and groups from an audit's groups.csv, and says what the groups are."""
    cells_csv, groups_csv = (tables.find(listing.root, name, listing.problems) for name in (CELLS_CSV, GROUPS_CSV))
    listing.groups_csv = groups_csv
    if cells_csv:
        rows = tables.read(cells_csv, ('label', 'group'), listing.problems)
        matches = tables.match(rows, [record.file for record in listing.records])
        listing.problems += tables.match_problems(CELLS_CSV, matches)
        said = {file: rows[name] for name, file in matches.files.items()}
        listing.records = [
            record._replace(
                label=said.get(record.file, {}).get('label') or record.label,
                group=said.get(record.file, {}).get('group') or record.group,
            )
            for record in listing.records
        ]
    say_grouping(listing, (), apply_groups(listing, groups_csv) if groups_csv else NO_TABLE)
    if listing.grouping == 'unknown':
        listing.notes.append(
            f'no {CELLS_CSV}: {ALONE}, so cells of one slide may be on both sides of any split, the given one as well'
        )


def _one_sided(listing: Listing) -> list[str]:
    """A sentence on classes that one side has and another has not."""
    of_side = {
        side: {record.label for record in listing.records if listing.sides[record.file] == side}
        for side in dict.fromkeys(listing.sides.values())
    }
    untrained = sorted(set(listing.classes) - of_side.get('train', set()))
    if len(listing.classes) < 2:
        return [f'{listing.root}: holds one class only ({some([*listing.classes])}); expected at least two']
    return [
        f'{listing.root}: no training folder holds {some(untrained, 4)}; fix the name of the folder, or move it away'
    ] * bool(untrained)


DATASET = Dataset(
    list_cells, {TASK: ()}, recognize=recognize, layout='train/CLASS/…, test/CLASS/…, val/CLASS/…', general=True
)
