"""Whole microscope fields and a run: white cells found, cropped, classified and counted, and one page of it all."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from alljax.data.image import to_png
from alljax.errors import UserError
from alljax.fields import detector, field_image, field_search, overview
from alljax.fields.detector import Detector
from alljax.fields.field_image import Opened
from alljax.fields.field_search import SearchedField
from alljax.predict import Predictor, gallery
from alljax.smear import (
    annotated,
    answers,
    cell_heat_maps,
    cells_table,
    crop_scale,
    differential,
    page,
    truth,
)
from alljax.smear.compiled_ahead import compiled_ahead
from alljax.smear.crop_scale import CropScale
from alljax.smear.differential import Differential
from alljax.smear.found_cells import FoundCell
from alljax.smear.truth import Scored, Truth
from alljax.storage import progress_bar
from alljax.storage.atomic import new_folder, write_json, write_whole
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import write_text

__all__ = ['PAGE', 'Examined', 'Request', 'examine']

PAGE, TABLE, SCORES, ANNOTATED = 'smear.html', 'cells.csv', 'scores.json', 'annotated'
SHOWN = 1600  # pixels of a side of a field on the page
PAGE_BYTES = 30_000_000  # of pictures of fields on the page


class Request(NamedTuple):
    """The fields, the model and the places that were named."""

    run: Predictor
    path: Path  # of the run, as the user gave it
    files: Sequence[Path]  # the fields
    folder: Path  # new or empty
    cell_pixels: float = 0.0  # the diameter of a white cell; 0 to estimate it in each field
    blasts: Sequence[str] | None = None  # classes; None for those called so
    truth: Truth | None = None  # what people marked in the fields
    detector: Detector | None = None  # of white cells; None for their colors
    begun: Iterable[SearchedField] | None = None  # of field_search, where the search has begun; None to begin it now


class Examined(NamedTuple):
    """All that was found."""

    fields: Sequence[SearchedField]
    cells: Sequence[FoundCell]
    differential: Differential
    scored: Scored | None  # against what was marked


def examine(asked: Request, say: Callable[[str], object]) -> Examined:
    """Writes the crops, cells.csv, the annotated fields and the page of some fields; `say` hears a line a field.

    A field that cannot be read or searched is told and left out. UserError without a field, and where nothing can be
    written; the folder is whole or not there.
    """
    if not asked.files:
        raise UserError('no field was named; name images of fields, or folders of them')
    expect_writable(asked.folder, '--to')
    notes = _notes(asked)  # before the work, for they may refuse it
    opened = field_image.kept_open()
    with compiled_ahead(asked.run), _search(asked) as search:
        fields = field_search.all_of(search, len(asked.files), lambda field: say(field_search.line(field)))
    run, scale = asked.run, answers.scale_of(asked.run, fields, opened)
    with new_folder(asked.folder.absolute()) as part:
        size = crop_scale.crop_size(run.card.pictures)
        cut_out = [answers.write_crops(part, field, scale, size, opened) for field in fields]
        cells = answers.answered(run, part, fields, cut_out)
        with ThreadPoolExecutor(1) as beside:  # files are compressed while a network is asked
            drawn = beside.submit(_annotated, part, fields, cells, run.classes, opened)
            mapped = cell_heat_maps.added(run.trained, part, cells)
            shown = drawn.result()
        blasts = differential.blast_classes(run.classes) if asked.blasts is None else asked.blasts
        counted = differential.of_cells(mapped.cells, run.classes, blasts)
        cells_table.write(part / TABLE, mapped.cells, run)
        scored = _scored(asked, fields, mapped.cells, blasts, notes)
        if scored:
            write_json(part / SCORES, scored.about())
        made = page.Smear(
            run=run,
            path=str(asked.path),
            fields=shown,
            cells=mapped.cells,
            differential=counted,
            blasts=blasts,
            summary=_summary(fields, scale, size),
            scored=scored,
            about=gallery.about(run.card, asked.path),
            heat_maps=mapped.said,
        )
        write_text(part / PAGE, page.render(made))
    return Examined(fields, mapped.cells, counted, scored)


def _search(asked: Request) -> AbstractContextManager[Iterable[SearchedField]]:
    if asked.begun is not None:
        return nullcontext(asked.begun)
    finder = detector.finder(asked.detector) if asked.detector else None
    return field_search.begun(asked.files, asked.cell_pixels or None, finder)


def _notes(asked: Request) -> list[str]:
    """The notes on a model and a detector that are scored; UserError if they may not be."""
    if not asked.truth:
        return []
    truth.refuse_trained(asked.path, asked.truth)
    of_detector = truth.of_detector(asked.detector, asked.truth) if asked.detector else []
    return [*truth.leak(asked.path, asked.truth), *of_detector]


def _scored(
    asked: Request,
    fields: Sequence[SearchedField],
    cells: Sequence[FoundCell],
    blasts: Sequence[str],
    notes: Sequence[str],
) -> Scored | None:
    """The cells found against those that were marked; None without marks."""
    if not asked.truth:
        return None
    classes = asked.run.classes
    counts = [
        differential.of_cells([cell for cell in cells if cell.field is field], classes, blasts) for field in fields
    ]
    return truth.scored(asked.truth, fields, counts, notes, blasts=bool(blasts))


def _annotated(
    folder: Path,
    fields: Sequence[SearchedField],
    cells: Sequence[FoundCell],
    classes: Sequence[str],
    opened: Opened,
) -> list[page.ShownField]:
    """Writes each field with its boxes; the fields with pictures for the page, as many as it has room for."""
    shown, room = [], PAGE_BYTES
    (folder / ANNOTATED).mkdir()
    for field in progress_bar.each(fields, 'pictures', len(fields), ' fields'):
        if field.error:
            shown.append(page.ShownField(field, b''))
            continue
        image = opened(field.path)
        picture, step = overview.of_field(image, annotated.LONGEST)
        own = [cell for cell in cells if cell.field is field]
        marked = annotated.drawn(picture, own, classes, step)
        write_whole(folder / ANNOTATED / f'{field.name}.png', to_png(marked))
        small = overview.jpeg(overview.of_field(field_image.from_pixels(picture), SHOWN)[0])
        room -= len(small)
        shown.append(page.ShownField(field, small if room >= 0 else b''))
    return shown


def _summary(fields: Sequence[SearchedField], scale: CropScale, size: int) -> list[str]:
    searched = [field for field in fields if not field.error]
    unread = len(fields) - len(searched)
    said = [f'{unread:,} of {len(fields):,} fields could not be read or searched; they are named below.'] * bool(unread)
    return [
        *said,
        f'{_crop_words(scale)}, kept at {size} × {size} pixels.',
    ]


def _crop_words(scale: CropScale) -> str:
    if not scale.diameters:
        return f'Crops have {scale.said}'
    return f'A crop is {scale.diameters:.1f} diameters of a white cell wide, {scale.said}'
