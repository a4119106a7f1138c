"""report.html of a detector: its scores with intervals, each field's counts, and pictures of the worst fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

import alljax
from alljax.errors import printable
from alljax.evaluation import intervals, page_template
from alljax.evaluation.thumbnails import jpeg_uri
from alljax.fields import detection_score, matching, overview
from alljax.fields.boxes import Boxes
from alljax.fields.detection_score import ComparedField, Score
from alljax.fields.white_cells import Found
from alljax.runs import detector
from alljax.runs.detector_data import BY_GROUP, DetectorData
from alljax.runs.detector_folds import above
from alljax.runs.results import Results
from alljax.storage import page_script
from alljax.storage.text_files import write_text

FILE, ROOM = 'report.html', 'alljax.runs'
PICTURED, SIDE = 8, 900  # fields with a picture, and its pixels a side
LISTED = 400  # fields in the table; the rest stands in results.json
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HIT, FALSE, MISSED = 'hit', 'false', 'missed'  # classes of boxes in the template


class Tested(NamedTuple):
    """Fields, and what the detectors of the folds without them find there."""

    data: DetectorData
    found: tuple[Found, ...]  # down to the least chance
    kept: tuple[Found, ...]  # from the threshold on
    thresholds: dict[int, float]  # of each fold, chosen on the others
    compared: tuple[ComparedField, ...]
    scores: tuple[Score, ...]


def write(folder: Path, results: Results, tested: Tested) -> None:
    """Writes the page: one file that loads nothing."""
    order = _worst_first(tested)
    wrong = [place for place in order if _mistakes(tested, place)]
    page = page_template.load('detector_report.html.jinja', ROOM).render(
        policy=page_script.policy(),
        css=Markup(page_template.text('report.css')),
        own_css=Markup(page_template.text('detector_report.css', ROOM)),
        version=alljax.__version__,
        results=results,
        set_name=printable(tested.data.marked.root.name, keep=''),
        by_group=tested.data.grouping == BY_GROUP,
        lead=_lead(tested.scores[0]),
        criteria=[one.criterion for one in tested.scores],
        measures=detection_score.table(tested.scores),
        thresholds=_thresholds(tested),
        fields=[_field(tested, place) for place in order[:LISTED]],
        unlisted=max(0, len(order) - LISTED),
        wrong=len(wrong),
        pictures=[_picture(tested, place) for place in (wrong or order)[:PICTURED]],
        settings=_settings(results, tested),
        problems=results['data']['problems'],
    )
    write_text(folder / FILE, page)


def _lead(score: Score) -> str:
    f1 = detection_score.number('f1', score)
    return (
        f'F1 {f1} by the middles of cells: {score.found:,} found, {score.marked:,} marked white cells of '
        f'{score.fields:,} fields, each asked of a detector that did not learn from it.'
    )


def _thresholds(tested: Tested) -> list[tuple[str, int, str, str, str]]:
    """The threshold, the cells found, precision, recall and F1, by their middles, for any threshold of all folds."""
    rows = []
    for least in THRESHOLDS:
        compared = detector.score([above(one, least) for one in tested.found], tested.data.fields)
        said = matching.measures([one.by_center for one in compared])
        found = sum(len(one.by_center.hits) for one in compared)
        parts = ('—' if np.isnan(value) else f'{value:.1%}' for value in said[:3])
        precision, recall, f1 = parts
        rows.append((f'{least:.1f}', found, precision, recall, f1))
    return rows


def _mistakes(tested: Tested, place: int) -> int:
    """Missed cells and false alarms of a field, by their middles."""
    one = tested.compared[place].by_center
    hits = int(one.hits.sum())
    return one.marked - hits + len(one.hits) - hits


def _worst_first(tested: Tested) -> list[int]:
    """The places of fields: by their mistakes, then those of boxes, then by name."""

    def rank(place: int) -> tuple[int, int, str]:
        one = tested.compared[place]
        boxes = one.by_box
        loose = 0 if boxes is None else boxes.marked - int(boxes.hits.sum())
        return -_mistakes(tested, place), -loose, one.field

    return sorted(range(len(tested.compared)), key=rank)


def _field(tested: Tested, place: int) -> dict[str, Any]:
    one = tested.compared[place]
    hits, found = int(one.by_center.hits.sum()), len(one.by_center.hits)
    boxes = '—' if one.by_box is None else f'{int(one.by_box.hits.sum()):,}'
    return {
        'name': printable(one.field, keep=''),
        'group': printable(one.group, keep=''),
        'fold': int(tested.data.parts[place]) + 1,
        'marked': one.by_center.marked,
        'found': found,
        'hits': hits,
        'boxes': boxes,
        'recall': _share(hits, one.by_center.marked),
        'precision': _share(hits, found),
    }


def _share(part: int, whole: int) -> str:
    """A share with Wilson's interval."""
    if not whole:
        return '—'
    low, high = intervals.wilson(part, whole)
    return f'{part / whole:.0%} ({low:.0%} to {high:.0%})'


def _picture(tested: Tested, place: int) -> dict[str, Any]:
    """A field with the boxes of what was found and what was missed."""
    field, kept = tested.data.fields[place], tested.kept[place]
    assert field.marks.boxes is not None
    marked = _as_found(field.marks.boxes)
    seen = matching.by_centers(marked, kept.centers, field.look.scale.cell_pixels).hits
    hits = tested.compared[place].by_center.hits
    small, _ = overview.of_field(field.image, SIDE)
    boxes = [_box(box, MISSED, 'marked, not found') for box in field.marks.boxes[~seen].tolist()]
    for box, hit, chance in zip(kept.boxes.tolist(), hits.tolist(), kept.confidences.tolist(), strict=True):
        words = f'found, {chance:.0%}' if hit else f'not marked, {chance:.0%}'
        boxes.append(_box(box, HIT if hit else FALSE, words))
    return {
        'name': printable(field.marks.field, keep=''),
        'width': field.image.width,
        'height': field.image.height,
        'picture': jpeg_uri(overview.jpeg(small)),
        'boxes': boxes,
        'words': f'{int((~seen).sum())} missed, {int((~hits).sum())} not marked, {int(hits.sum())} found',
    }


def _as_found(boxes: Boxes) -> Found:
    """Marked boxes as if they had been found: which of them are hits tells which were seen."""
    return Found(boxes[:, :2] + boxes[:, 2:] / 2, boxes, boxes[:, 2] * boxes[:, 3], np.ones(len(boxes)))


def _box(box: Sequence[float], kind: str, words: str) -> dict[str, Any]:
    left, top, width, height = (round(value, 1) for value in box)
    return {'left': left, 'top': top, 'width': width, 'height': height, 'kind': kind, 'words': words}


def _settings(results: Results, tested: Tested) -> dict[str, str]:
    """The settings and the data of the run, in words."""
    model, train, split = results['model'], results['train'], results['split']
    by = 'patient or slide' if tested.data.grouping == BY_GROUP else 'field'
    groups = len({one.group for one in tested.compared})
    each = ', '.join(f'{value:.2f}' for value in split['thresholds'])
    labels = ', '.join(f'{label or "without a label"} {count:,}' for label, count in results['data']['labels'].items())
    return {
        'Folder': printable(str(results['data']['root']), keep=''),
        'Marks': f'{results["data"]["format"]}: {labels}',
        'Frozen network': f'{model["network"]}, {model["weights"]}',
        'Trained before on': ', '.join(model['trained_on']) or 'not known',
        'Folds': f'{split["folds"]} that separate no {by}, of {groups}',
        'Thresholds of the folds': each,
        'Threshold of the detector': f'{model["threshold"]:.2f}, best on all fields',
        'Training': f'{train["steps"]:,} steps, {train["windows"]:,} windows',
        'Duration of the last start': f'{train["seconds"]:,.0f} s',
        'Seed': str(results['seed']),
        'Fingerprint': results['data']['fingerprint'],
    }
