"""ALL-IDB1 and ALL-IDB2, told by the names of files and fields: the cells of one are cut out of the other.

So are the crops that `alljax crops` makes of ALL-IDB1, whose files or groups bear the names of its fields.
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from alljax.data import crops_record
from alljax.data.cells import Cells
from alljax.errors import UserError

FILE = re.compile(r'Im\d{3}_[01]\.\w+')  # files of ALL-IDB1 and of ALL-IDB2 are named alike
FIELD = re.compile(r'(?:.*/)?Im\d{3}_[01](\.\w+)?')  # the group of a crop
CROP = re.compile(r'Im\d{3}_[01][_.-].*\.\w+')  # its file, which adds a number to the name of the field
LARGEST_CROP = 512  # pixels: the pictures of ALL-IDB2 have 257 a side, those of ALL-IDB1 over a thousand
MIXED = 0.1  # of a set's cells: fewer may be named so by chance
SETS = {'all_idb1': 'ALL-IDB1', 'all_idb2': 'ALL-IDB2'}  # data set → its public name
REASON = (
    'the cells of ALL-IDB2 are cut out of ALL-IDB1, of the same patients, so a test of one on the other is worth '
    'nothing'
)


def which(cells: Cells) -> str:
    """'ALL-IDB1' or 'ALL-IDB2' for a set most of whose cells are of it, in any layout; '' for any other.

    Crops of ALL-IDB1's fields are of ALL-IDB1; they are told by their names, or by the crops.json beside them.
    """
    if cells.origin.name in SETS and not cells.origin.synthetic:
        return SETS[cells.origin.name]
    first, second = _of_each(cells)
    record = None if cells.origin.synthetic else crops_record.read(Path(cells.origin.root))
    if record and record.all_idb1:
        return SETS['all_idb1']
    if cells.origin.synthetic or 2 * (first | second).sum() <= len(cells):
        return ''
    return 'ALL-IDB1' if first.sum() >= second.sum() else 'ALL-IDB2'


def refuse_both(training: str, tested: Cells) -> None:
    """UserError if one of ALL-IDB1 and ALL-IDB2 trained, as `which` tells, and one is tested."""
    refuse_names(training, which(tested), tested.origin.root)


def refuse_names(training: str, tested: str, root: str) -> None:
    """UserError if the training set and the one in `root`, which is tested, are both of them; '' is any other set."""
    if training and tested:
        raise UserError(f'{root}: is {tested}, and the training set is {training}; {REASON}; name another set')


def refuse_mixed(cells: Cells) -> None:
    """UserError for one set that holds cells of both: no split could keep a field and its cells together."""
    first, second = _of_each(cells)
    if not cells.origin.synthetic and min(first.mean(), second.mean()) > MIXED:
        raise UserError(
            f'{cells.origin.root}: holds {first.sum()} pictures of ALL-IDB1 (such as '
            f'{cells.names[int(first.argmax())]}) and {second.sum()} of ALL-IDB2 (such as '
            f'{cells.names[int(second.argmax())]}); {REASON}; keep one of the two'
        )


def _of_each(cells: Cells) -> tuple[Bool[np.ndarray, ' cells'], Bool[np.ndarray, ' cells']]:
    """True for each cell of ALL-IDB1, and for each of ALL-IDB2."""
    files = [name.rpartition('/')[2] for name in cells.names]
    whole = np.array([bool(FILE.fullmatch(file)) for file in files], bool)
    large = np.zeros(len(cells), bool) if cells.sizes is None else cells.sizes.max(1) > LARGEST_CROP
    field = [bool(FIELD.fullmatch(name)) for name in cells.group_names]
    cropped = np.array([bool(CROP.fullmatch(file)) for file in files], bool) | np.array(field, bool)[cells.groups]
    return np.where(whole, large, cropped), whole & ~large
