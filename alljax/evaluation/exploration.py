"""The part of a run's page in which a reader looks for cells: its data, for the page's own scripts."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import numpy as np
from jaxtyping import Float, Integer, UInt8
from markupsafe import Markup

from alljax.evaluation import confidence_curves, formatting
from alljax.evaluation.confidence_curves import Answered, Bin
from alljax.evaluation.thumbnails import thumbnail
from alljax.storage import page_script

PICTURES = 6000  # cells that have a picture in the page, at about 2 kB each: mistakes first, then the least confident
CLASSES = 40  # classes at most for a table of buttons
SHARES = 5  # classes at most whose probability is shown, the most probable first, and the cell's own
CONFIDENT = 0.9  # from which a model without a calibration answers, before the reader says otherwise
UNCERTAIN = 'uncertain'  # in the place of an answer
SCRIPTS = ('report_exploration.js', 'report_certainty.js')


class PredictedCells(NamedTuple):
    """The tested cells of a run, a row for each prediction: several for a cell that was tested several times."""

    names: Sequence[str]  # file names
    groups: Sequence[str]  # that no split may separate, such as slides
    labels: Integer[np.ndarray, ' cells']  # the true class, as a column of the probabilities
    probabilities: Float[np.ndarray, 'cells classes']
    classes: Sequence[str]
    images: UInt8[np.ndarray, 'pictures height width 3']
    pictures: Integer[np.ndarray, ' cells'] | None = None  # the image of each cell; None where they come one by one
    answers: Sequence[str] | None = None  # of a calibrated model: a class, or 'uncertain'
    sets: Sequence[str] | None = None  # of a calibrated model: the possible classes, 'a|b'
    folds: Sequence[int] | None = None  # of a cross-validation: the fold that tested it, from 0
    repeats: Sequence[int] | None = None  # and the repetition, from 0
    heat_maps: Mapping[str, bytes] = {}  # file name → JPEG file, for the cells that have one
    certain: float | None = None  # of a calibrated model: the confidence from which it answers

    @property
    def predictions(self) -> Integer[np.ndarray, ' cells']:
        """The predicted class of each cell."""
        return self.probabilities.argmax(1)

    @property
    def confidence(self) -> Float[np.ndarray, ' cells']:
        """The probability of the predicted class, with the digits of predictions.csv."""
        return self.probabilities.max(1).astype(float).round(6)

    @property
    def image_of(self) -> Integer[np.ndarray, ' cells']:
        """The place of each cell's image."""
        return np.arange(len(self.names)) if self.pictures is None else self.pictures


def section(results: Mapping[str, Any], predicted: PredictedCells, template: jinja2.Template) -> Markup:
    """The part of the page. `results` is the content of results.json, of which the kind of groups is read."""
    known = not results['split']['leaky'] and results['data'].get('grouping') == 'patient or slide'
    unit = 'slide' if known else 'group'
    right = predicted.predictions == predicted.labels
    groups = np.unique(list(predicted.groups), return_inverse=True)[1]
    answered = confidence_curves.abstention(predicted.confidence, right, groups)
    bins = confidence_curves.reliability(predicted.confidence, right, groups)
    pictures = kept_pictures(predicted, PICTURES)
    return Markup(
        template.render(
            unit=unit,
            n=len(predicted.names),
            shown=len(pictures),
            bins=[(one, interval(one, unit)) for one in bins],
            answers=[(one, interval(one, unit)) for one in answered[::10]],
            matrix=len(predicted.classes) <= CLASSES,
            uncertain=predicted.answers is not None,
            repeats=sorted(set(predicted.repeats or ())),
            start=np.ceil(100 * (predicted.certain or CONFIDENT) - 1e-9) / 100,
            total=len(np.unique(predicted.image_of)),
            cells=page_script.data(content(predicted, pictures, unit)),
            curves=page_script.data(curves(answered, bins, unit)),
            pictures=page_script.data(
                {
                    'cells': encoded(predicted, pictures),
                    'heat_maps': {n: _text(m) for n, m in predicted.heat_maps.items()},
                }
            ),
        )
    )


def content(predicted: PredictedCells, pictures: Mapping[int, int], unit: str) -> dict[str, Any]:
    """The cells as columns, JSON-safe; `pictures` are places of images, and `unit` the word for a group."""
    group_names = sorted(set(predicted.groups))
    number = {name: place for place, name in enumerate(group_names)}
    return {
        'classes': list(predicted.classes),
        'groups': group_names,
        'unit': unit,
        'name': list(predicted.names),
        'group': [number[name] for name in predicted.groups],
        'label': predicted.labels.tolist(),
        'prediction': predicted.predictions.tolist(),
        'confidence': predicted.confidence.tolist(),
        'shares': [_shares(*row) for row in zip(predicted.probabilities, predicted.labels, strict=True)],
        'picture': [pictures.get(int(place), -1) for place in predicted.image_of],
        'uncertain': None if predicted.answers is None else [int(answer == UNCERTAIN) for answer in predicted.answers],
        'set': None if predicted.sets is None else list(predicted.sets),
        'fold': None if predicted.folds is None else list(map(int, predicted.folds)),
        'repeat': None if predicted.repeats is None else list(map(int, predicted.repeats)),
    }


def kept_pictures(predicted: PredictedCells, most: int) -> dict[int, int]:
    """Place of an image → its number among those of the page: mistakes first, then the least confident cells."""
    order = np.lexsort((predicted.confidence, predicted.predictions == predicted.labels))
    kept = dict.fromkeys(predicted.image_of[order].tolist())
    return {place: number for number, place in enumerate(list(kept)[:most])}


def encoded(predicted: PredictedCells, pictures: Mapping[int, int]) -> list[str]:
    """The JPEG files of the pictures, as base64."""
    return [_text(thumbnail(predicted.images[place])) for place in pictures]


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
    """How many of `total` cells reach a threshold, and how many of these are right, in words."""
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
