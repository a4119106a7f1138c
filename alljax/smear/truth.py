"""Cells and labels that people marked in fields, against what was found in them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from alljax.data import all_idb, crops_record
from alljax.errors import UserError, some
from alljax.fields import annotations, crops, detection_score, field_groups, field_labels
from alljax.fields.annotations import Annotations
from alljax.fields.boxes import Marks
from alljax.fields.detection_score import ComparedField, Score
from alljax.fields.detector import Detector
from alljax.fields.field_search import SearchedField
from alljax.runs import results
from alljax.smear import field_calls
from alljax.smear.differential import Differential
from alljax.smear.field_calls import Agreement, CountedField
from alljax.storage import model_folder, run_folder
from alljax.storage.checksums import Damaged


class Asked(NamedTuple):
    """The marks that were named on the command line."""

    folder: Path
    labels: Sequence[str] = ()  # of marked cells; none for all but red cells and platelets
    format: str = 'auto'
    field_labels: Path | None = None
    groups: Path | None = None
    group_pattern: str | None = None


class Truth(NamedTuple):
    """The marks of a folder of fields."""

    found: Annotations
    groups: Mapping[str, str] | None  # field → patient or slide; None where the field is the group
    labels: Mapping[str, str]  # field → blast or normal; empty where nothing says so

    def group(self, field: str) -> str:
        """The patient or slide of a field, else the field itself."""
        return field if self.groups is None else self.groups[field]


class Scored(NamedTuple):
    """The found cells and fields against the marked ones."""

    compared: tuple[ComparedField, ...]
    detection: tuple[Score, ...]
    counted: tuple[CountedField, ...]  # labeled fields; none without labels, or without a model of blasts
    calls: tuple[Agreement, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The scores as sentences."""
        notes = [f'note: {note}' for note in self.notes]
        return [*detection_score.lines(self.detection), *field_calls.lines(self.calls), *notes]

    def about(self) -> dict[str, Any]:
        """The scores as JSON has them."""
        calls = field_calls.about(self.calls, self.counted)
        return {
            'detection': detection_score.about(self.detection, self.compared),
            'field_calls': calls,
            'notes': self.notes,
        }


def read(asked: Asked, flag: str = '--truth') -> Truth:
    """The marks, groups and labels of the fields in a folder; UserError for what cannot be read."""
    found = annotations.read(asked.folder, asked.labels, asked.format, flag)
    fields = [marks.field for marks in found.marks]
    groups = field_groups.chosen(asked.groups, asked.group_pattern, fields)
    if asked.field_labels:
        return Truth(found, groups, field_labels.from_table(asked.field_labels, fields))
    return Truth(found, groups, field_labels.from_names(fields))


def refuse_trained(run: Path, truth: Truth) -> None:
    """UserError if a run trained on ALL-IDB2, or on crops of ALL-IDB1, and its fields are ALL-IDB1's."""
    if crops.is_all_idb1(truth.found):
        all_idb.refuse_names(_training_set(run), all_idb.SETS['all_idb1'], str(truth.found.root))


def scored(
    truth: Truth,
    fields: Sequence[SearchedField],
    counts: Sequence[Differential] = (),
    notes: Sequence[str] = (),
    *,
    blasts: bool = False,
) -> Scored:
    """The cells found in the searched fields against their marks; `counts` are of the same fields, by a model.

    With `blasts` the model has a class of them, by which fields are called. UserError if none of the searched fields
    is marked.
    """
    places = _places(truth, fields)
    if not places:
        named = some([str(field.path) for field in fields], 3)
        raise UserError(f'{truth.found.root}: marks none of the fields that were searched ({named}); name their folder')
    compared, counted = [], []
    for place, marks in places:
        field, group = fields[place], truth.group(marks.field)
        compared.append(detection_score.compared(field.found, marks, field.cell_pixels, group))
        if blasts and marks.field in truth.labels:
            count = counts[place]
            called = count.blasts.cells if count.blasts else 0
            is_blast = truth.labels[marks.field] == field_labels.BLAST
            counted.append(CountedField(marks.field, group, is_blast, called, count.counted))
    said = [*truth.found.problems, *truth.found.notes, *notes]
    unmarked = len([field for field in fields if not field.error]) - len(places)
    if unmarked:
        said.append(f'{unmarked} searched {"fields are" if unmarked > 1 else "field is"} not marked, and not scored')
    if truth.groups is None:
        said.append('the group of a field is itself; name patients or slides by --groups or --group_pattern')
    if truth.labels and counts and not blasts:
        said.append('the model has no class of blasts, so fields are not called; name its blasts with --blasts')
    if crops.is_all_idb1(truth.found) and truth.found.format == 'xyc':
        said.append('ALL-IDB1 marks its blasts only: of precision, count error and average precision nothing is known')
    found = detection_score.scores(compared)
    return Scored(tuple(compared), tuple(found), tuple(counted), tuple(field_calls.agreements(counted)), tuple(said))


def of_detector(detector: Detector, truth: Truth) -> list[str]:
    """A sentence if a detector was trained on these very fields; UserError if it was on ALL-IDB, and these are too."""
    known = set(all_idb.SETS.values()) & set(detector.card.trained_on)
    if known and crops.is_all_idb1(truth.found):
        all_idb.refuse_names(min(known), all_idb.SETS['all_idb1'], str(truth.found.root))
    data = detector.card.train
    if Path(str(data.get('root', ''))).resolve() != truth.found.root.resolve():
        return []
    own = set(data.get('fields', ())) & {marks.field for marks in truth.found.marks}
    return [f'leaky: the detector was trained on {len(own)} of these fields'] if own else []


def leak(run: Path, truth: Truth) -> list[str]:
    """A sentence if the run trained on crops of these very fields; none otherwise."""
    record = _crops_of(run)
    if record is None or Path(record.fields_root).resolve() != truth.found.root.resolve():
        return []
    own = set(record.fields) & {marks.field for marks in truth.found.marks}
    return [f'leaky: the run was made with cells cut out of {len(own)} of these fields'] if own else []


def _places(truth: Truth, fields: Sequence[SearchedField]) -> list[tuple[int, Marks]]:
    """The places of searched fields with their marks: by the path, else by a file name that no other has."""
    by_path = {(truth.found.root / marks.field).resolve(): marks for marks in truth.found.marks}
    names = Counter(path.name for path in by_path)
    by_name = {path.name: marks for path, marks in by_path.items() if names[path.name] == 1}
    found = []
    for place, field in enumerate(fields):
        marks = by_path.get(field.path.resolve()) or by_name.get(field.path.name)
        if marks and not field.error:
            found.append((place, marks))
    return found


def _training_set(run: Path) -> str:
    """'ALL-IDB1' or 'ALL-IDB2' for a model of it, or of crops of it; '' for any other."""
    known = set(all_idb.SETS.values()) & set(model_folder.read_card(model_folder.find(run)).trained_on)
    data = _results(run).get('data', {})
    if known or (data.get('name', '') in all_idb.SETS and not data.get('synthetic')):
        return min(known) if known else all_idb.SETS[data['name']]
    record = _crops_of(run)
    return all_idb.SETS['all_idb1'] if record and record.all_idb1 else ''


def _crops_of(run: Path) -> crops_record.CropsRecord | None:
    root = _results(run).get('data', {}).get('root', '')
    with suppress(UserError):
        return crops_record.read(Path(root)) if root else None
    return None


def _results(run: Path) -> dict[str, Any]:
    """The results of a run; none where they cannot be read."""
    folder = run_folder.around(run)
    with suppress(UserError, Damaged):
        return dict(results.read(folder)) if run_folder.is_finished(folder) else {}
    return {}
