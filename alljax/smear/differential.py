"""A differential count: the share of each class among the white cells of a smear, and its blasts."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from alljax.evaluation import intervals
from alljax.runs.calibration import UNCERTAIN
from alljax.smear.found_cells import FoundCell

# Classes that are blasts, as data sets call them: ALL-IDB, FAB subtypes, C-NMC, AML-Cytomorphology_LMU.
BLASTS = re.compile(r'l[123]|all|myo|mob|(.*[ _-])?(\w*blasts?)', re.IGNORECASE)
NO_LEUKEMIA = re.compile(r'(.*[ _-])?(pro)?erythroblasts?|ebo', re.IGNORECASE)  # of red cells


class Share(NamedTuple):
    """A class among the counted white cells."""

    name: str
    cells: int
    share: float  # of 1
    interval: tuple[
        float, float
    ]  # 95 %, Wilson's: what the number of counted cells leaves open, the model's errors not
    uncertain: int  # of the cells, those that the model calls uncertain


class Differential(NamedTuple):
    """The shares of all classes; of no cells, there are none."""

    counted: int
    unlike: int  # found, but unlike the training cells of the model, and not counted
    unread: int  # found, but without an answer of the model
    shares: tuple[Share, ...]  # in the order of the classes
    blasts: Share | None  # all classes of blasts together; None for a model without such a class, or without cells


def of_cells(cells: Sequence[FoundCell], classes: Sequence[str], blasts: Sequence[str] | None = None) -> Differential:
    """The differential count of some cells, by the most probable class of each.

    `blasts` are the classes of blasts; those that are called so, if None. A cell unlike the training cells is not
    counted, since none of the classes may be its own.
    """
    answered = [cell for cell in cells if cell.row.probabilities is not None]
    counted = [cell for cell in answered if not cell.row.is_unlike]
    names = [cell.class_name(classes) for cell in counted]
    doubtful = [name for name, cell in zip(names, counted, strict=True) if cell.row.answer == UNCERTAIN]
    found, uncertain, total = Counter(names), Counter(doubtful), len(counted)
    shares = tuple(_share(name, found[name], uncertain[name], total) for name in classes) if total else ()
    chosen = blast_classes(classes) if blasts is None else blasts
    together = None
    if chosen and total:
        together = _share('blasts', sum(found[one] for one in chosen), sum(uncertain[one] for one in chosen), total)
    return Differential(total, len(answered) - total, len(cells) - len(answered), shares, together)


def blast_classes(classes: Sequence[str]) -> list[str]:
    """Those of the classes whose name says that they are leukemic blasts."""
    return [name for name in classes if BLASTS.fullmatch(name) and not NO_LEUKEMIA.fullmatch(name)]


def _share(name: str, cells: int, uncertain: int, total: int) -> Share:
    low, high = intervals.wilson(cells, total)
    return Share(name, cells, cells / total, (low, high), uncertain)
