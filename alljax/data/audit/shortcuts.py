"""Shortcuts, which tell the label without a look at the cell: traces of how, where and by whom pictures were taken."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from alljax.data.audit.measurements import Measurements

FOLDS = 5
DRAWS = 1000
LEVEL = 0.99  # of the interval: five questions are asked at once

Folds = list[tuple[np.ndarray, np.ndarray]]

MEANS = {
    'file size': 'bytes of the file: classes saved by another program, format or quality',
    'image size': 'height and width: classes cropped or photographed in another way',
    'color': 'mean and deviation of red, green and blue: partly the cell itself; compare the border',
    'overlay': 'bars, letters and lines with hard edges that were drawn over the picture: a scale bar, a label, a date',
    'border': 'the same in the outer 8 pixels, where no cell is: other slides, stain or light',
}


class Shortcut(NamedTuple):
    """The accuracy with which a few numbers about the picture, not the cell, tell its label."""

    name: str
    means: str
    accuracy: float | None  # balanced; None if it cannot be measured
    interval: tuple[float, float] | None  # LEVEL, whole groups resampled
    chance: float
    verdict: str

    @property
    def says_the_label(self) -> bool:
        """True if chance is below the interval."""
        return self.interval is not None and self.interval[0] > self.chance


def shortcuts(measured: Measurements, labels: Sequence[str], groups: Sequence[str]) -> tuple[Shortcut, ...]:
    """Ask a logistic regression for the label, cross-validated without ever separating a group.

    () if there are fewer than two labels. The accuracy is the mean over classes of the share that is told right.
    """
    numbers = {
        'file size': np.log(measured.sizes)[:, None],
        'image size': measured.shapes.astype(float),
        'color': measured.color,
        'border': measured.border,
        'overlay': measured.overlays,
    }
    return told_by(numbers, labels, groups)


def told_by(
    numbers: Mapping[str, Float[np.ndarray, 'cells _']], labels: Sequence[str], groups: Sequence[str]
) -> tuple[Shortcut, ...]:
    """The accuracy with which each of the `numbers`, by a name of MEANS, tells the label; () for fewer than two."""
    classes, label = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return ()
    group = np.unique(groups, return_inverse=True)[1]
    held = {str(known): len(np.unique(group[label == index])) for index, known in enumerate(classes)}
    folds = _folds(label, group, min(FOLDS, *held.values())) if min(held.values()) > 1 else []
    return tuple(_shortcut(name, values, label, group, held, folds) for name, values in numbers.items())


def _shortcut(
    name: str,
    values: Float[np.ndarray, 'cells features'],
    label: Int[np.ndarray, ' cells'],
    group: Int[np.ndarray, ' cells'],
    held: Mapping[str, int],
    folds: Folds,
) -> Shortcut:
    """`held` says how many groups each class is in."""
    chance = 1 / len(held)
    if not np.ptp(values, axis=0).any():
        return Shortcut(name, MEANS[name], chance, (chance, chance), chance, 'no: the same for all')
    single = [known for known, count in held.items() if count < 2]
    if single:
        verdict = f'cannot be told: all of {", ".join(single)} is one group'
        return Shortcut(name, MEANS[name], None, None, chance, verdict)
    predicted = _predictions(values, label, folds)
    accuracy, interval = _accuracy(predicted, label, group, len(held))
    return Shortcut(name, MEANS[name], accuracy, interval, chance, _verdict(accuracy, interval, chance))


def _folds(label: Int[np.ndarray, ' cells'], group: Int[np.ndarray, ' cells'], count: int) -> Folds:
    """Cells that train and cells that are tested, without a group on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds, which a run without audit need not wait

    return list(StratifiedGroupKFold(count, shuffle=True, random_state=0).split(label[:, None], label, group))


def _predictions(
    values: Float[np.ndarray, 'cells features'], label: Int[np.ndarray, ' cells'], folds: Folds
) -> Int[np.ndarray, ' cells']:
    """The label that is told of each cell by a model that saw none of its group."""
    from sklearn.exceptions import ConvergenceWarning  # takes seconds, which a run without audit need not wait
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    predicted = np.empty_like(label)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight='balanced', max_iter=1000))
    for train, test in folds:
        if len(test) == 0:
            continue
        if len(np.unique(label[train])) < 2:
            predicted[test] = label[train][0]
            continue
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', ConvergenceWarning)  # perfectly told classes have no finite optimum
            predicted[test] = model.fit(values[train], label[train]).predict(values[test])
    return predicted


def _accuracy(
    predicted: Int[np.ndarray, ' cells'],
    label: Int[np.ndarray, ' cells'],
    group: Int[np.ndarray, ' cells'],
    classes: int,
) -> tuple[float, tuple[float, float]]:
    """Balanced accuracy and its interval by resampling groups."""
    right, total = np.zeros((2, group.max() + 1, classes))
    np.add.at(total, (group, label), 1)
    np.add.at(right, (group, label), predicted == label)
    rng = np.random.default_rng(0)
    chances = np.full(len(total), 1 / len(total))
    drawn = (rng.multinomial(len(total), chances).astype(float) for _ in range(DRAWS))  # one at a time: groups are many
    with np.errstate(invalid='ignore'):
        recalls = np.stack([(times @ right) / (times @ total) for times in drawn])
    samples = np.nanmean(recalls, axis=1)  # a class that was not drawn has no recall
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return float((right.sum(0) / total.sum(0)).mean()), (low, high)


def _verdict(accuracy: float, interval: tuple[float, float], chance: float) -> str:
    if interval[0] <= chance:
        return 'no: not told from chance'
    share = (accuracy - chance) / (1 - chance)  # 0 at chance, 1 if every label is told
    return 'says ' + ('' if share > 0.8 else 'much about ' if share > 0.4 else 'something about ') + 'the label'
