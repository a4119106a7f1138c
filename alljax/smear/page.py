"""The page of a smear: its fields with boxes, the differential count, and all cells to sort."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

import alljax
from alljax.errors import printable
from alljax.evaluation import page_template
from alljax.evaluation.thumbnails import jpeg_uri
from alljax.fields import detection_score
from alljax.fields.field_search import SearchedField
from alljax.predict import Predictor, gallery, in_words
from alljax.runs.calibration import UNCERTAIN
from alljax.smear import field_calls
from alljax.smear.annotated import COLORS, UNKNOWN, color_of, words_of
from alljax.smear.differential import Differential
from alljax.smear.found_cells import FoundCell
from alljax.smear.truth import Scored
from alljax.storage import page_script

ROOM = 'alljax.smear'  # where its template lies
BARS, LEAST = 4, 0.0005  # classes of a cell at most, and the probability from which one is named
DIGITS = 5  # of a probability: the page shows a tenth of a percent


class ShownField(NamedTuple):
    """A field with its small picture, a JPEG file; empty for one that the page has no room for."""

    field: SearchedField
    picture: bytes


class Smear(NamedTuple):
    """All that a page is made of."""

    run: Predictor
    path: str  # of the run, as the user gave it
    fields: Sequence[ShownField]
    cells: Sequence[FoundCell]
    differential: Differential
    blasts: Sequence[str]  # the classes that count as such
    summary: Sequence[str]  # sentences about what was found
    about: Sequence[tuple[str, str]]  # the model in words
    heat_maps: str  # a sentence about them; '' without any
    scored: Scored | None = None  # what was found against what people marked


def render(smear: Smear) -> str:
    """The page: one file that loads nothing, in which only its own script may run."""
    run, cells = smear.run, smear.cells
    colors = [COLORS[place % len(COLORS)] for place in range(len(run.classes))]
    shown = [one for one in smear.fields if one.picture]
    script = gallery.on_grid('smear.js', ROOM)
    named = {cell.class_name(run.classes) for cell in cells}
    rows = [_row(cell, run.classes) for cell in cells]
    read = [one for one in smear.fields if not one.field.error]
    missing = len(read) - len(shown)
    return page_template.load('smear.html.jinja', ROOM).render(
        policy=page_script.policy(script),
        script=Markup(script),
        data=page_script.data({'classes': run.classes, 'colors': [*colors, UNKNOWN], 'rows': rows}),
        css=Markup(page_template.text('report.css')),
        own_css=Markup(gallery.on_grid('smear.css', ROOM)),
        version=alljax.__version__,
        run=printable(smear.path, keep=''),
        synthetic=run.card.synthetic,
        cells=len(cells),
        total=len(smear.fields),
        summary=smear.summary,
        scored=_scored(smear.scored) if smear.scored else None,
        differential=smear.differential,
        caveats=caveats(smear.differential, calibrated=run.card.calibration is not None),
        blasts=', '.join(smear.blasts),
        calibrated=run.card.calibration is not None,
        classes=run.classes,
        colors=colors,
        fields=[_field(one, cells, run.classes) for one in shown],
        unshown=f'{missing:,} more fields have no picture here: the page would be too large.' if missing else '',
        predicted=[(place, name) for place, name in enumerate(run.classes) if name in named],
        heat_maps=smear.heat_maps,
        about=smear.about,
        unread=[(printable(str(one.field.path), keep=''), one.field.error) for one in smear.fields if one.field.error],
    )


def caveats(found: Differential, *, calibrated: bool) -> list[str]:
    """Sentences about all that a count does not say."""
    if not found.shares:
        return ['No white cell was counted, so there are no shares.']
    said = [
        'The intervals are of counting: how far the share among these cells may lie from that of the smear. What the '
        'model gets wrong, and cells that were not found, are not in them.'
    ]
    if found.unlike:
        said.append(f'{found.unlike:,} found {_cells(found.unlike)} unlike the training cells are not counted.')
    if found.unread:
        said.append(f'{found.unread:,} found {_cells(found.unread)} got no answer and are not counted.')
    if not calibrated:
        said.append('The model is not calibrated: a confidence says little about how often it is right.')
    return said


def _scored(found: Scored) -> dict[str, Any]:
    """The tables and notes about what was found and what people marked."""
    return {
        'criteria': [f'by {one.criterion}' for one in found.detection],
        'counts': [f'{one.found:,} found, {one.marked:,} marked' for one in found.detection],
        'measures': detection_score.table(found.detection),
        'calls': field_calls.table(found.calls),
        'notes': [printable(note, keep='') for note in (*field_calls.notes(found.calls), *found.notes)],
    }


def _cells(count: int) -> str:
    return 'cell' if count == 1 else 'cells'


def _field(shown: ShownField, cells: Sequence[FoundCell], classes: Sequence[str]) -> dict[str, Any]:
    field = shown.field
    own = [cell for cell in cells if cell.field is field]
    width, height = field.size
    words = [f'{len(own):,} white {_cells(len(own))}', f'{width:,} × {height:,} pixels', field.scale, *field.notes]
    return {
        'name': printable(field.name, keep=''),
        'width': width,
        'height': height,
        'picture': jpeg_uri(shown.picture),
        'words': '; '.join(word for word in words if word) + '.',
        'boxes': [_box(cell, classes) for cell in own],
    }


def _box(cell: FoundCell, classes: Sequence[str]) -> dict[str, Any]:
    left, top, width, height = (round(value, 1) for value in cell.box)
    row = cell.row
    share = '' if row.probabilities is None else f' {float(row.probabilities.max()):.1%}'
    return {
        'number': cell.number,
        'left': left,
        'top': top,
        'width': width,
        'height': height,
        'color': color_of(cell),
        'doubtful': row.answer == UNCERTAIN or row.is_unlike or row.probabilities is None,
        'title': f'{words_of(cell, classes)}{share}',
    }


def _row(cell: FoundCell, classes: Sequence[str]) -> dict[str, Any]:
    """A row for the script."""
    row = cell.row
    top: list[tuple[int, float]] = []
    if row.probabilities is not None:
        best = (-row.probabilities).argsort(kind='stable')[:BARS].tolist()
        top = [
            (place, round(float(row.probabilities[place]), DIGITS))
            for place in best
            if place == best[0] or row.probabilities[place] >= LEAST
        ]
    x, y = cell.center
    return {
        'number': cell.number,
        'place': printable(f'{cell.field.name}, x {x:.0f}, y {y:.0f}', keep=''),
        'size': round(cell.box[2] * cell.box[3]),
        'top': top,
        'uncertain': f'uncertain: {in_words(row.possible, classes)}' if row.answer == UNCERTAIN else '',
        'unlike': row.unlike if row.is_unlike else '',
        'error': row.error,
        'picture': base64.b64encode(row.thumbnail).decode('ascii'),
        'map': base64.b64encode(cell.heat_map).decode('ascii'),
    }
