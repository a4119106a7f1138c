"""The fields of a detector's run: read, surveyed, divided into folds by group, and known again by a fingerprint."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from alljax.config.detector_fields import DetectorPlan
from alljax.data.picture import ImageError
from alljax.errors import UserError, some
from alljax.fields import annotations, field_groups, field_image, survey
from alljax.fields.annotations import Annotations
from alljax.runs.detector_windows import LearnedField
from alljax.storage import checksums, progress_bar
from alljax.storage.checksums import Damaged

ROOT = '--config.data.root'
BY_GROUP, BY_FIELD = 'patient or slide', 'field'  # what folds do not separate


class DetectorData(NamedTuple):
    """All that a detector learns from and is tested on."""

    marked: Annotations
    fields: tuple[LearnedField, ...]
    parts: Int[np.ndarray, ' fields']  # the fold of each field
    grouping: str  # BY_GROUP or BY_FIELD
    problems: tuple[str, ...]  # sentences about what is left out
    fingerprint: str  # of the pictures, the marks and the groups

    @property
    def cells(self) -> int:
        """The number of marked white cells."""
        return sum(len(field.marks.centers) for field in self.fields)

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds."""
        return sorted(set(self.parts.tolist()))


def read(plan: DetectorPlan) -> DetectorData:
    """The fields of a plan; UserError for those that a detector cannot learn from."""
    marked = _marked(plan)
    fields, problems = _surveyed(plan, marked)
    parts = folds([field.group for field in fields], _counts(fields), plan.folds, plan.seed)
    grouping = BY_GROUP if plan.groups or plan.group_pattern else BY_FIELD
    told = (*marked.problems, *problems)
    return DetectorData(marked, tuple(fields), parts, grouping, told, _fingerprint(marked.root, fields))


def planned(plan: DetectorPlan) -> list[str]:
    """The plan in lines, by its marks alone: no field is decoded. UserError for marks that cannot be learned from."""
    marked = _marked(plan)
    names = [marks.field for marks in marked.marks]
    chosen = field_groups.chosen(plan.groups, plan.group_pattern or None, names)
    groups = [chosen[name] if chosen else name for name in names]
    cells = [len(marks.centers) for marks in marked.marks]
    parts = folds(groups, cells, plan.folds, plan.seed)
    said = f'{len(names)} fields with {sum(cells)} white cells ({marked.format}) in {marked.root}'
    by = f'{len(set(groups))} patients or slides' if chosen else 'field'
    steps = (len(set(parts.tolist())) + 1) * plan.steps
    return [
        said,
        f'{len(set(parts.tolist()))} folds by {by}, and a last detector on all fields: {steps:,} steps of training',
        *(f'note: {one}' for one in (*marked.problems, *marked.notes)),
        *(f'config.{name}: {value}' for name, value in plan.fields.items()),
    ]


def folds(groups: Sequence[str], cells: Sequence[int], wanted: int, seed: int) -> Int[np.ndarray, ' fields']:
    """The fold of each field: whole groups in any order, each to the fold with the fewest cells.

    UserError for fewer than two groups, which cannot be parted.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise UserError(f'{len(names)} group of fields cannot be parted in folds; name more fields, or other groups')
    filled, of_group = np.zeros(min(wanted, len(names))), {}
    for name in np.random.default_rng([seed, 3]).permutation(names).tolist():
        of_group[name] = fold = int(filled.argmin())
        filled[fold] += 1e-3 + sum(count for group, count in zip(groups, cells, strict=True) if group == name)
    return np.array([of_group[name] for name in groups])


def _marked(plan: DetectorPlan) -> Annotations:
    """The marks of a plan's fields; UserError for centers, and where no cell is marked."""
    found = annotations.read(plan.root, plan.labels, plan.format, ROOT)
    if without := [marks.field for marks in found.marks if marks.boxes is None]:
        raise UserError(f'{found.root}: marks centers only ({some(without, 3)}), and a detector learns from boxes')
    if not any(len(marks.centers) for marks in found.marks):
        raise UserError(*(found.problems or [f'{found.root}: no white cell is marked; correct {ROOT}']))
    return found


def _surveyed(plan: DetectorPlan, found: Annotations) -> tuple[list[LearnedField], list[str]]:
    """The marked fields with their scale, and sentences about those that are left out; UserError without any."""
    groups = field_groups.chosen(plan.groups, plan.group_pattern or None, [marks.field for marks in found.marks])
    fields, problems = [], []
    for marks in progress_bar.each(found.marks, 'reading fields', len(found.marks), ' fields'):
        try:
            image = field_image.open_field(found.root / marks.field)
            look = survey.survey(image, plan.cell_pixels or None, by_color=False)
        except ImageError as error:
            said = f'{error}'.replace('--cell_pixels', '--config.data.cell_pixels')
            problems.append(f'{found.root / marks.field}: left out: it {said}')
            continue
        fields.append(LearnedField(marks, groups[marks.field] if groups else marks.field, image, look))
    if not any(_counts(fields)):
        raise UserError(*(problems or [f'{found.root}: no white cell is marked; correct {ROOT}']))
    return fields, problems


def _counts(fields: Sequence[LearnedField]) -> list[int]:
    return [len(field.marks.centers) for field in fields]


def _fingerprint(root: Path, fields: Sequence[LearnedField]) -> str:
    """A short name for the content of all fields and of what is known of them, wherever they lie."""
    digest = hashlib.sha256()
    for field in fields:
        try:
            content = checksums.of_file(root / field.marks.field)
        except Damaged as error:
            raise UserError(f'{root / field.marks.field}: {error}; replace it by an intact copy') from None
        digest.update(f'{field.marks.field}\0{field.group}\0{content}\0'.encode())
        digest.update(np.ascontiguousarray(field.marks.boxes, np.float64).tobytes())
    return digest.hexdigest()[:32]
