"""One self-contained page about one run: what was measured, on what, how far to trust it, and how to repeat it."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

from alljax.evaluation import (
    calibration_table,
    exploration,
    external_table,
    fold_table,
    formatting,
    page_template,
    recall_intervals,
    slides,
    verdict,
)
from alljax.evaluation.mistakes import Mistake
from alljax.evaluation.prediction_rows import Rows
from alljax.evaluation.slides import Pictures
from alljax.evaluation.thumbnails import jpeg_uri
from alljax.storage import page_script
from alljax.storage.run_folder import CROSS_VALIDATION
from alljax.storage.text_files import write_text

STYLES = ('report.css', 'verdict_and_slides.css', 'report_exploration.css')

# printed elsewhere on the page: as banner, in the table of classes, or at the end
ELSEWHERE = {
    'data': ('synthetic', 'counts'),
    'split': ('leaky', 'train_counts', 'validation_counts', 'test_counts'),
}

# key of results.json, name, what it means
SHARES = (
    ('balanced_accuracy', 'Balanced accuracy', 'mean sensitivity of the classes, so rare ones count as much'),
    ('macro_f1', 'Macro F1', 'mean of the classes'),
    ('macro_auroc', 'AUROC', 'chance that a cell of a class is ranked above one of another; mean of the classes'),
    ('macro_average_precision', 'Average precision', 'area under precision over recall; mean of the classes'),
    ('calibration_error', 'Expected calibration error', 'distance of confidence and accuracy, 15 bins; 0 is best'),
    (
        'coverage_at_95_accuracy',
        'Cells at 95% accuracy',
        'the largest share that reaches it, most confident first',
    ),
)
COEFFICIENTS = (
    ('kappa', 'Cohen’s κ', 'agreement beyond chance, 1 at best'),
    ('mcc', 'Matthews’ correlation', 'of true and predicted class, 1 at best'),
)


class TestedCells(NamedTuple):
    """The test cells of a run, or of all folds and repetitions of a cross-validation."""

    rows: Rows  # of predictions.csv
    pictures: Pictures  # by file


def write(
    path: str | os.PathLike,
    results: Mapping[str, Any],
    *,
    mistakes: Sequence[Mistake] = (),
    figures: Mapping[str, str | os.PathLike] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    tested: TestedCells | None = None,
    heat_maps: Mapping[str, bytes] | None = None,
) -> None:
    """Write report.html, whole or not at all: one file without outside addresses, every picture inside it.

    `results` is the content of results.json, `figures` maps headings to PNG files in the order to show them, and
    `facts` adds tables (heading -> row -> value), such as published results to stand beside. From `tested` come the
    verdict in words, the table of slides, and the part in which a reader looks for any cell, by scripts that the page
    holds, beside its heat map where `heat_maps` has a JPEG file for its file; without them there is no script.
    Fractions of 1 are printed in percent. Everything from outside is escaped. Raises KeyError where a part of `results`
    the page needs is missing.
    """
    scripts = [page_template.text(name) for name in exploration.SCRIPTS] if tested else []
    # leaky splits keep no groups together, and earlier releases do not say what the groups are
    grouping = '' if results['split']['leaky'] else results['data'].get('grouping', '')
    page = page_template.load('report.html.jinja').render(
        results=results,
        test=results['test'],
        set_name=formatting.set_name(results['data']['name'], results['data'].get('root') or ''),
        grouping=formatting.GROUPINGS.get(grouping, ''),
        doubtful=formatting.DOUBTFUL.get(grouping, ''),
        correct=int(np.trace(np.asarray(results['test']['confusion']['matrix']))),
        recall_interval=recall_intervals.in_words(results, tested.rows if tested else ()),
        pretraining=results.get('pretraining'),  # earlier releases have none
        undefined=any(None in row.values() for row in results['test']['per_class'].values()),
        measures=_measures(results['test']),
        counts=_counts(results),
        training=_training(results),
        tables=_tables(results, facts or {}),
        figures=[(title, data_uri(Path(file).read_bytes())) for title, file in (figures or {}).items()],
        mistakes=[
            (mistake, data_uri(_png(mistake.image)), _heat_map(mistake, heat_maps or {})) for mistake in mistakes
        ],
        external=_external(results),
        folds=_folds(results),
        verdict=_verdict(results, tested),
        slides=_slides(results, tested),
        certainty=_certainty(results),
        exploration=_exploration(results, tested, heat_maps or {}),
        scripts=list(map(Markup, scripts)),
        policy=page_script.policy(*scripts),
        css=Markup(''.join(map(page_template.text, STYLES))),
    )
    write_text(Path(path), page)


def rewrite_external(path: Path, results: Mapping[str, Any]) -> None:
    """Put the external tests of `results` into a report.html that is there already; without one nothing is done."""
    if path.is_file():
        write_text(path, external_table.put_into_page(path.read_text(encoding='utf-8'), str(_external(results))))


def _external(results: Mapping[str, Any]) -> Markup:
    template = page_template.load('external_table.html.jinja')
    return external_table.section(results, template)


def _folds(results: Mapping[str, Any]) -> Markup:
    if CROSS_VALIDATION not in results:
        return Markup()
    template = page_template.load('fold_table.html.jinja')
    return fold_table.section(results[CROSS_VALIDATION], template, leaky=results['split']['leaky'])


def _verdict(results: Mapping[str, Any], tested: TestedCells | None) -> Markup:
    if tested is None:
        return Markup()
    return verdict.section(results, tested.rows, page_template.load('verdict.html.jinja'))


def _slides(results: Mapping[str, Any], tested: TestedCells | None) -> Markup:
    if tested is None:
        return Markup()
    return slides.section(results, *tested, page_template.load('slides.html.jinja'))


def _exploration(results: Mapping[str, Any], tested: TestedCells | None, heat_maps: Mapping[str, bytes]) -> Markup:
    if tested is None:
        return Markup()
    template = page_template.load('report_exploration.html.jinja')
    return exploration.section(results, tested.rows, tested.pictures, heat_maps, template)


def _certainty(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The lines and sentences on the calibration; None for a model without one."""
    known = results.get('calibration')
    if known is None:
        return None
    return {
        'lines': calibration_table.lines(known, results['test']['n']),
        'sentences': calibration_table.sentences(known, leaky=results['split']['leaky']),
    }


def _measures(test: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, number and meaning of what is said of a test beside accuracy, precision and recall."""
    rows = [(name, formatting.percent(test[key], test['n']), remark) for key, name, remark in SHARES]
    return rows + [(name, formatting.value(test[key]), remark) for key, name, remark in COEFFICIENTS]


def _training(results: Mapping[str, Any]) -> str:
    """The training side in the words of the run's log; earlier releases do not tell the copies from the cells."""
    copies = results['split'].get('train_copies', 0)
    an_epoch = results.get('train', {}).get('cells_an_epoch')
    return formatting.training_cells(results['split']['train_n'] - copies, copies, an_epoch)


def _counts(results: Mapping[str, Any]) -> dict[str, Mapping[str, int]]:
    split = results['split']
    sides = {side: split.get(f'{side}_counts') for side in ('train', 'validation', 'test')}
    return {'all cells': results['data']['counts']} | {side: counts for side, counts in sides.items() if counts}


def _tables(results: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    named = {'data': 'Data', 'split': 'Split', 'model': 'Model', 'train': 'Training', 'environment': 'Environment'}
    tables = {
        title: {key: value for key, value in results[part].items() if key not in ELSEWHERE.get(part, ())}
        for part, title in named.items()
    }
    tables['Training']['seed'] = results['seed']
    return tables | {title: dict(rows) for title, rows in facts.items()}


def _heat_map(mistake: Mistake, heat_maps: Mapping[str, bytes]) -> str:
    """The heat map of a cell as an address that holds it; '' where it has none."""
    return jpeg_uri(heat_maps[mistake.name]) if mistake.name in heat_maps else ''


def _png(image: UInt8[np.ndarray, 'height width 3']) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format='PNG')
    return file.getvalue()


def data_uri(png: bytes) -> str:
    """Return a PNG file's bytes as an address that holds the picture itself."""
    return 'data:image/png;base64,' + base64.b64encode(png).decode('ascii')
