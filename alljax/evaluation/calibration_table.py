"""The part of a run's page about its certainty: what the calibration promised, and what the test cells made of it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from alljax.evaluation import formatting
from alljax.storage.calibration_record import ANSWERS, OF_FOLDS, TEMPERATURE

LEAKY = 'Cells of one slide may have trained, calibrated and been tested, so none of this holds for a new slide.'
Results = Mapping[str, Any]  # the content of results.json, or a part of it


class Line(NamedTuple):
    """A line of the table."""

    name: str
    number: str
    remark: str


def lines(known: Results, n: int) -> list[Line]:
    """The table, from the `calibration` part of results.json and the number of test cells."""
    test, by_group = known['test'], known['test']['covered_by_group']
    before, after = (formatting.percent(test[f'error_{when}'], n) for when in ('before', 'after'))
    groups = (
        f'mean of {by_group["groups"]} groups {formatting.percent(by_group["mean"], n)}, the lowest '
        f'{formatting.percent(by_group["lowest"], n)}; {by_group["groups_that_reach_it"]} reach it'
    )
    error = Line('Expected calibration error', after, f'{before} before the temperature; 0 is best')
    if TEMPERATURE in known.get('refused', ()):
        error = Line(error.name, before, 'with no temperature: it was refused; 0 is best')
    answered_share, right = test['answered'], test['accuracy_of_answered']
    if known.get('source') == OF_FOLDS and known['certain'] is None:  # by the final model
        answered_share, right = 0.0, None
    return [
        error,
        Line('Class in the set', formatting.percent(test['covered'], n),
             f'{formatting.percent(known["coverage"])} wanted; {groups}'),
        Line('Classes in a set', f'{test["set_size"]:.2f}', 'mean; fewer say more'),
        Line('Answered', formatting.percent(answered_share, n), answered(known)),
        Line('Accuracy of the answers', formatting.percent(right, n),
             f'{formatting.percent(known["accuracy"])} wanted'),
    ]  # fmt: skip


def answered(known: Results) -> str:
    """The confidence from which the model answers, in words."""
    if 'folds' in known:
        return 'from the confidence that each fold measured; the others are called uncertain'
    if ANSWERS in known.get('refused', ()):
        return (
            f'the final model answers none: too few groups to promise {formatting.percent(known["accuracy"])}, so all '
            'are uncertain'
        )
    if known['certain'] is None:
        return (
            f'no confidence reached {formatting.percent(known["accuracy"])} when it was calibrated: all are uncertain'
        )
    return f'from a confidence of {formatting.probability(known["certain"])}; the others are called uncertain'


def sentences(known: Results, *, leaky: bool) -> list[str]:
    """On how many cells the calibration rests, and what it therefore cannot promise."""
    if 'folds' in known:
        return [*_of_each_fold(known), *[LEAKY] * leaky]
    coverage, groups = known['coverage'], known['groups']
    said = [_of_final_model(known) if known['source'] == OF_FOLDS else _of_model(known)]
    if known['least'] == 0:
        needed = math.ceil(coverage / (1 - coverage) - 1e-9)
        said.append(
            f'{groups} groups are too few to bound a set at {formatting.percent(coverage)} (it takes {needed}), so '
            'each set may hold every class.'
        )
    return [*said, *refusals(known), *[LEAKY] * leaky]


def refusals(known: Results) -> list[str]:
    """A sentence on the temperature, and one on the confidence to answer from, where it was refused."""
    refused, judged = known.get('refused', ()), known.get('judged', {})
    said = []
    if TEMPERATURE in refused:
        before, after = map(formatting.percent, judged['error'])
        losses = ' to '.join(f'{loss:.2f}' for loss in judged['log_loss'])
        said.append(
            f'A temperature of {judged["temperature"]:.2f} was refused, and probabilities stay as the final model '
            f'gives them: measured on some folds, it takes the calibration error of the others from {before} to '
            f'{after}, and their log loss from {losses}.'
        )
    if ANSWERS in refused:
        said.append(
            f'No confidence to answer from is kept: {known["groups"]} groups are too few to promise '
            f'{formatting.percent(known["accuracy"])}. {_broken_promise(judged)}'
        )
    return said


def _broken_promise(judged: Results) -> str:
    if judged['accuracy_of_answered'] is None:
        return 'One that was measured on some folds answers no cell of the others.'
    return (
        f'One that was measured on some folds answers {formatting.percent(judged["answered"])} of the cells of the '
        f'others, and is right in {formatting.percent(judged["accuracy_of_answered"])} of these.'
    )


def _of_model(known: Results) -> str:
    return (
        f'The logits are divided by {known["temperature"]:.2f}. This, the sets and the confidence from which the model '
        f'answers were measured on {known["cells"]:,} cells of {known["groups"]} groups ({known["source"]}) that did '
        'not train the model; the numbers of the table are of the test cells, and all probabilities of this page are '
        'calibrated.'
    )


def _of_final_model(known: Results) -> str:
    return (
        f'The final model divides its logits by {known["temperature"]:.2f}. This, its sets and the confidence from '
        f'which it answers were measured on {known["cells"]:,} cells of {known["groups"]} groups, each as the fold '
        'that had not trained on it sees it. In the table, each fold is judged by a calibration that was measured on '
        'the other folds alone, and kept or refused by these. All other probabilities of this page are as the '
        'folds give them, not calibrated.'
    )


def _of_each_fold(known: Results) -> list[str]:
    temperatures = [one['temperature'] for one in known['folds']]
    cells = sorted(one['cells'] for one in known['folds'])
    return [
        f'Each fold divides its logits by a number of its own, {min(temperatures):.2f} to {max(temperatures):.2f}. '
        f'This, the sets and the confidence from which it answers were measured on {cells[0]:,} to {cells[-1]:,} cells '
        f'({known["folds"][0]["source"]}) that did not train it; the numbers of the table are of the test cells of all '
        'folds, and all probabilities of this page are calibrated.'
    ]
