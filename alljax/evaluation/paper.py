"""The numbers that Shafique & Tehsin 2018 print, and whether they follow from its own confusion matrices."""

import json
import runpy
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from alljax.evaluation import metrics

SOURCE = 'Shafique & Tehsin 2018'
ABSTRACT = 'Abstract'
WIDTH = 100
MATRICES = {'detection': 'table2_detection_confusion', 'subtype': 'table3_subtype_confusion'}
NUMBERS = {'detection': 'Table 2', 'subtype': 'Table 3'}
SHARE = 'row percent'  # of the predicted class, so precision
MEANING = {'sensitivity': 'recall', SHARE: 'precision'}  # other words mean what they say


class Claim(NamedTuple):
    """A printed number and what it says it is."""

    place: str  # 'Table 5, L2'
    name: str  # the paper's word for it
    printed: float  # percent
    measure: str  # what that word means, as `metrics.compute` calls it


@cache
def tables() -> Mapping[str, Any]:
    """The tables by name, numbers as printed (percent)."""
    return json.loads(resources.files('alljax.evaluation').joinpath('shafique2018.json').read_text(encoding='utf-8'))


def confusion(task: str) -> tuple[tuple[str, ...], Int[np.ndarray, 'classes classes']]:
    """Class names and the published matrix of 'detection' or 'subtype', rows = true classes.

    In the paper rows are predicted classes: only so do its sensitivities come out.
    """
    table = tables()[MATRICES[task]]
    return tuple(table['labels']), np.array(table['rows_predicted']).T


def computed(task: str, measure: str) -> float:
    """A measure of the published matrix, as `metrics.compute` calls it, in percent."""
    names, matrix = confusion(task)
    return 100 * float(metrics.compute(matrix, measure, names))


def verdict(printed: float, value: float) -> str:
    """The way in which a printed percentage is the computed one; '' if it is not.

    The paper prints two decimals, some rounded and some cut off, and in places the second is a padded 0.
    """
    rest = value - printed
    for decimals, to in ((2, ''), (1, ' to one decimal')):
        unit = 10.0**-decimals
        if not np.isclose(round(printed, decimals), printed, rtol=0, atol=1e-9):
            continue
        if abs(rest) <= unit / 2:
            return f'follows{to}'
        if 0 < rest < unit:
            return f'follows{to}, cut off'
    return ''


def claims(task: str) -> list[Claim]:
    """The numbers that the paper prints about a task's matrix."""
    names = tables()[MATRICES[task]]['labels']
    blast = {'sensitivity': 'per_class.blast.recall', 'specificity': 'per_class.blast.specificity'}
    means = {'sensitivity': 'macro_recall', 'specificity': 'macro_specificity'}
    of = {'accuracy': 'accuracy'} | (blast if task == 'detection' else means)
    whole = [Claim(ABSTRACT, name, percent, of[name]) for name, percent in tables()['headline'][task].items()]
    return whole + [
        Claim(f'{table}, {label}', row, percent, f'per_class.{label}.{MEANING.get(row, row)}')
        for (table, row), printed in _rows(task).items()
        for label, percent in zip(names, printed, strict=True)
    ]


def contradictions(task: str) -> Iterator[str]:
    """A sentence on every number, or row of Table 5, that the matrix does not give."""
    names, matrix = confusion(task)
    wrong = [claim for claim in claims(task) if not verdict(claim.printed, computed(task, claim.measure))]
    for claim in wrong:
        value, label = computed(task, claim.measure), claim.place.rpartition(', ')[2]
        said = f'{claim.place}, {claim.name} {claim.printed:.2f}:'
        if claim.place == ABSTRACT:
            yield f'{said} the matrix gives {value:.2f}; {_instead(claim, task)}.'
        elif claim.name == SHARE:
            i = names.index(label)
            yield f'{said} {matrix[i, i]} of {matrix[:, i].sum()} are {value:.2f}.'
    for table, name in _rows(task):
        if any(claim.place.startswith(table) and claim.name == name != SHARE for claim in wrong):
            yield f'{table}, {name}: {_about_row(task, name)}.'


def counts() -> Iterator[str]:
    """Sentences on how the published numbers of images go together."""
    data = tables()['data']
    pictures, share = data['after_augmentation'], data['split']['train']
    total, normal = sum(pictures.values()), pictures['normal']
    classes = {'subtype': pictures, 'detection': {'blast': total - normal, 'normal': normal}}
    for task in MATRICES:
        trained, tested = tables()['table1_color'][task]['training_samples'], confusion(task)[1].sum()
        smallest = min(classes[task], key=classes[task].__getitem__)
        equal = len(classes[task]) * classes[task][smallest]
        said = (
            f'{task}: {trained} training images in Table 1 and {tested} test images in the matrix are '
            f'{trained + tested} of {total}, {100 * trained / (trained + tested):.1f} % for training.'
        )
        if trained > share * equal:
            said += (
                f' Equalizing to the smallest class ({classes[task][smallest]} {smallest}) would leave {equal}, '
                f'{share * equal:.0f} of them for training: the {trained} do not follow.'
            )
            if trained == round(share * total):
                said += f' {100 * share:.0f} % of all {total} are {trained}.'
        yield said
    sources = sum(data['source_images']['ALL-IDB2'].values()) + data['source_images']['extra_blasts']
    yield (
        f'The {total} images are turned and mirrored copies of {sources}, and the split is one of images: copies of a '
        'cell can stand on both sides.'
    )


def describe() -> Iterator[str]:
    """The lines that `alljax paper` prints, none wider than a terminal."""
    yield from textwrap.wrap(
        'A printed number follows where it is what the matrix gives, in percent, rounded or cut off at its last '
        'digit; a second decimal of 0 may be padding. Rows of the matrices are true classes; in the paper they are '
        'predicted ones.',
        WIDTH,
    )
    for task, title in (('detection', 'Table 2: detection'), ('subtype', 'Tables 3 and 5: subtype')):
        yield from ['', title, '', *_matrix(*confusion(task)), '']
        yield f'{"where":<16} {"what":<12} {"printed":>8} {"by the matrix":>14}'
        for claim in claims(task):
            value = computed(task, claim.measure)
            said = verdict(claim.printed, value) or 'does NOT follow'
            yield f'{claim.place:<16} {claim.name:<12} {claim.printed:8.2f} {value:14.2f}  {said}'
        yield from ['', *_list(contradictions(task))]
    yield from ['', 'Numbers of images', '', *_list(counts())]


def _rows(task: str) -> dict[tuple[str, str], Sequence[float]]:
    """Printed rows with a number for each class: table and name -> percent."""
    found = {(NUMBERS[task], SHARE): tables()[MATRICES[task]]['row_percent']}
    if task == 'subtype':
        found |= {('Table 5', row): values for row, values in tables()['table5_per_class'].items() if row != 'labels'}
    return found


def _instead(claim: Claim, task: str) -> str:
    """The measure that an overall number may have been meant to be, in words."""
    for name in metrics.OVERALL:
        if verdict(claim.printed, computed(task, name)):
            return f'it is {_words(name)}'
    for (table, row), values in _rows(task).items():
        if verdict(claim.printed, float(np.mean(values))):
            kind = f'macro_{MEANING.get(row, row)}'
            other = kind in metrics.OVERALL and kind != claim.measure
            exact = f', so {_words(kind)}, which unrounded is {computed(task, kind):.2f}' if other else ''
            return f'it is the mean of the {row} of {table} as printed{exact}'
    return 'no measure of the matrix gives it'


def _about_row(task: str, name: str) -> str:
    """The measure that a row of Table 5 may have been meant to be, in words."""
    rows, names = _rows(task), tables()['table5_per_class']['labels']

    def exact(kind: str) -> list[float]:
        return [computed(task, f'per_class.{label}.{kind}') for label in names]

    printed, share = rows['Table 5', name], rows[NUMBERS[task], SHARE]
    would = f'by the matrix it would be {", ".join(f"{value:.2f}" for value in exact(MEANING.get(name, name)))}'
    if printed == share:
        return f'this is the {SHARE} of {NUMBERS[task]}, which is {MEANING[SHARE]}; {would}'
    hits = {
        kind: sum(bool(verdict(*pair)) for pair in zip(printed, exact(kind), strict=True)) for kind in metrics.PER_CLASS
    }
    best = max(hits, key=hits.__getitem__)
    if hits[best] == len(printed):
        return f'this is {_words(best)}; {would}'
    return f'no measure of the matrix gives more than {hits[best]} of its {len(printed)} numbers; {would}'


def _words(measure: str) -> str:
    return measure.replace('_', ' ').replace('f1', 'F1')


def _matrix(names: Sequence[str], matrix: np.ndarray) -> Iterator[str]:
    yield f'{"true class":<12}' + ''.join(f'{f"-> {name}":>11}' for name in names)
    for name, row in zip(names, matrix, strict=True):
        yield f'{name:<12}' + ''.join(f'{count:>11}' for count in row)


def _list(sentences: Iterator[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(sentence, WIDTH, initial_indent='- ', subsequent_indent='  ')


if __name__ == '__main__':  # `python -m alljax.evaluation.paper` is `alljax paper`
    sys.argv[1:1] = ['paper']
    runpy.run_module('alljax', run_name='__main__')
