"""The part of a run's page in which a reader looks for cells: its data, for the page's own scripts."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import numpy as np
from jaxtyping import Bool, Float, Integer
from markupsafe import Markup

from alljax.evaluation import confidence_curves, formatting
from alljax.evaluation.confidence_curves import Answered, Bin
from alljax.evaluation.heat_maps import scale
from alljax.evaluation.prediction_rows import Rows
from alljax.evaluation.slides import Pictures, are_known
from alljax.evaluation.thumbnails import jpeg_uri, thumbnail
from alljax.storage import page_script
from alljax.storage.calibration_record import OF_FOLDS

PICTURES = 6000  # cells that have a picture in the page, at about 2 kB each: mistakes first, then the least confident
HEAT_MAPS = 1000  # that the page holds, as large as pictures
CLASSES = 40  # classes at most for a table of buttons
SHARES = 5  # classes at most whose probability is shown, the most probable first, and the cell's own
CONFIDENT = 0.9  # from which a model without a calibration answers, before the reader says otherwise
UNCERTAIN = 'uncertain'  # in the place of an answer
SCRIPTS = ('report_exploration.js', 'report_certainty.js')


class PredictedCells(NamedTuple):
    """The tested cells of a run, a row for each prediction: several for a cell that was tested several times."""

    classes: tuple[str, ...]
    files: tuple[str, ...]
    groups: tuple[str, ...]  # that no split may separate, such as slides
    labels: Integer[np.ndarray, ' cells']  # the place of the true class
    predictions: Integer[np.ndarray, ' cells']
    probabilities: Float[np.ndarray, 'cells classes']
    answers: tuple[str, ...] = ()  # of a calibrated model: a class, or 'uncertain'; none of any other
    sets: tuple[str, ...] = ()  # of a calibrated model: the possible classes, 'a|b'
    folds: tuple[int, ...] = ()  # of a cross-validation: the fold that tested the cell, from 0
    repeats: tuple[int, ...] = ()  # and the repetition, from 0

    @property
    def right(self) -> Bool[np.ndarray, ' cells']:
        """True where the predicted class is the true one."""
        return self.labels == self.predictions

    @property
    def confidence(self) -> Float[np.ndarray, ' cells']:
        """The probability of the predicted class."""
        return self.probabilities[np.arange(len(self.files)), self.predictions]


def of_rows(rows: Rows, classes: Sequence[str]) -> PredictedCells:
    """The cells in the rows of a predictions.csv; KeyError where one lacks a column or names another class."""
    place = {name: number for number, name in enumerate(classes)}

    def column(name: str) -> tuple[str, ...]:
        return tuple(row[name] for row in rows) if rows and name in rows[0] else ()

    return PredictedCells(
        classes=tuple(classes),
        files=tuple(row['file'] for row in rows),
        groups=tuple(row['group'] for row in rows),
        labels=np.array([place[row['label']] for row in rows], np.int32),
        predictions=np.array([place[row['prediction']] for row in rows], np.int32),
        probabilities=np.array(
            [[float(row[f'probability_{name}']) for name in classes] for row in rows], float
        ).reshape(len(rows), len(classes)),
        answers=column('answer'),
        sets=column('set'),
        folds=tuple(map(int, column('fold'))),
        repeats=tuple(map(int, column('repeat'))),
    )  # fmt: skip


def section(
    results: Mapping[str, Any],
    rows: Rows,
    pictures: Pictures,
    heat_maps: Mapping[str, bytes],
    template: jinja2.Template,
) -> Markup:
    """The part of the page, from results.json, the rows of predictions.csv, and pictures and heat maps of its files.

    The heat maps are JPEG files; a cell that has none is shown without one.
    """
    unit = 'slide' if are_known(results) else 'group'
    cells = of_rows(rows, results['test']['confusion']['labels'])
    groups = np.unique(list(cells.groups), return_inverse=True)[1]
    repeats = max(1, len(set(cells.repeats)))
    answered = confidence_curves.abstention(cells.confidence, cells.right, groups, repeats)
    bins = confidence_curves.reliability(cells.confidence, cells.right, groups, repeats=repeats)
    kept = kept_pictures(cells, pictures, PICTURES)
    maps = kept_heat_maps(cells, heat_maps, HEAT_MAPS)
    first = np.array(cells.repeats or [0] * len(rows)) == min(cells.repeats, default=0)  # the repetition of the maps
    # where the folds calibrate a final model, their own probabilities stay as they come
    of_folds = results.get('calibration', {}).get('source') == OF_FOLDS
    certain = None if of_folds else results.get('calibration', {}).get('certain')
    return Markup(
        template.render(
            unit=unit,
            n=len(rows),
            bins=[(one, interval(one, unit)) for one in bins],
            answers=[(one, interval(one, unit)) for one in answered[::10]],
            start=np.ceil(100 * (CONFIDENT if certain is None else certain) - 1e-9) / 100,
            matrix=len(cells.classes) <= CLASSES,
            uncertain=bool(cells.answers),
            as_they_come=of_folds,
            repeats=sorted(set(cells.repeats)),
            shown=len(kept),
            total=len(set(cells.files)),
            maps=len(maps),
            unmapped=len({cells.files[place] for place in np.flatnonzero(~cells.right & first)} - set(maps)),
            about_maps=results.get('heat_maps', {}),  # earlier releases have none
            scale=jpeg_uri(thumbnail(scale(signed=False))),
            cells=page_script.data(content(cells, kept, unit)),
            curves=page_script.data(curves(answered, bins, unit)),
            pictures=page_script.data(
                {
                    'cells': [_text(thumbnail(pictures[file])) for file in kept],
                    'heat_maps': {file: _text(heat_maps[file]) for file in maps},
                }
            ),
        )
    )


def content(cells: PredictedCells, kept: Sequence[str], unit: str) -> dict[str, Any]:
    """The cells as columns, JSON-safe; `kept` are the files that have a picture, and `unit` the word for a group."""
    groups = sorted(set(cells.groups))
    group_place = {name: place for place, name in enumerate(groups)}
    picture_place = {name: place for place, name in enumerate(kept)}
    return {
        'classes': list(cells.classes),
        'groups': groups,
        'unit': unit,
        'name': list(cells.files),
        'group': [group_place[name] for name in cells.groups],
        'label': cells.labels.tolist(),
        'prediction': cells.predictions.tolist(),
        'confidence': cells.confidence.tolist(),
        'shares': [_shares(*row) for row in zip(cells.probabilities, cells.labels, strict=True)],
        'picture': [picture_place.get(name, -1) for name in cells.files],
        'uncertain': [int(answer == UNCERTAIN) for answer in cells.answers] or None,
        'set': list(cells.sets) or None,
        'fold': list(cells.folds) or None,
        'repeat': list(cells.repeats) or None,
    }


def kept_pictures(cells: PredictedCells, pictures: Pictures, most: int) -> list[str]:
    """The files whose picture the page holds: those of mistakes first, then those of the least confident cells."""
    order = np.lexsort((cells.confidence, cells.right))
    files = dict.fromkeys(cells.files[place] for place in order)
    return [file for file in files if file in pictures][:most]


def kept_heat_maps(cells: PredictedCells, heat_maps: Mapping[str, bytes], most: int) -> list[str]:
    """The files whose heat map the page holds: those of the most confident mistakes first."""
    order = np.lexsort((-cells.confidence, cells.right))
    files = dict.fromkeys(cells.files[place] for place in order)
    return [file for file in files if file in heat_maps][:most]


def curves(answered: Sequence[Answered], bins: Sequence[Bin], unit: str) -> dict[str, Any]:
    """The two curves, and the sentence for each threshold, JSON-safe; shares are fractions of 1."""
    total = answered[0].answered
    return {
        'answers': [
            {
                'threshold': one.threshold,
                'coverage': one.answered / max(1, total),
                'accuracy': one.right / one.answered if one.answered else None,
                'interval': one.interval,
                'sentence': sentence(one, total, unit),
            }
            for one in answered
        ],
        'bins': [
            {**one._asdict(), 'sentence': f'{one.cells:,} cells, {formatting.percent(one.accuracy, one.cells)} right '
             f'({interval(one, unit)}), mean confidence {formatting.percent(one.confidence, one.cells)}'}
            for one in bins
        ],
    }  # fmt: skip


def sentence(one: Answered, total: int, unit: str) -> str:
    """The cells of `total` that reach a threshold, and those of them that are right, in words."""
    if not one.answered:
        return f'At {one.threshold:.2f}: no cell is answered.'
    right = formatting.percent(one.right / one.answered, one.answered)
    return (
        f'At {one.threshold:.2f}: {formatting.percent(one.answered / total, total)} of the cells answered '
        f'({one.answered:,} of {total:,}), {right} of them right ({interval(one, unit)}).'
    )


def interval(one: Answered | Bin, unit: str) -> str:
    """The interval of a share, and over what it is, in words; '' without one."""
    if one.interval is None:
        return ''
    n = one.answered if isinstance(one, Answered) else one.cells
    over = f'95% interval over {unit}s' if one.over_groups else '95% interval by Wilson'
    return f'{over} {formatting.interval(one.interval, n)}'


def _shares(probabilities: Float[np.ndarray, ' classes'], label: int | np.integer) -> list[int]:
    """Class and probability in thousandths, in turn, the most probable first."""
    best = np.argsort(-probabilities, kind='stable')[:SHARES].tolist()
    shown = [place for place in best if probabilities[place] >= 0.0005]
    chosen = shown if int(label) in shown else [*shown, int(label)]
    return [number for place in chosen for number in (place, round(1000 * float(probabilities[place])))]


def _text(jpeg: bytes) -> str:
    return base64.b64encode(jpeg).decode('ascii')
