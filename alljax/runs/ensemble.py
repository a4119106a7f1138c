"""Several models as one: an ensemble, whose answer is the weighted mean of its members' probabilities.

Each member is a whole model folder of a network or a classical system within that of the ensemble, and sees the cells
prepared its own way; what they share is the form in which cells are kept, and the classes.
"""

import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.runs import data_check, model_check, preparation, single_kinds
from alljax.runs.kind import NO_CHANCE, Kind, Probabilities, Tested, Trained
from alljax.runs.prediction_views import Predict
from alljax.runs.results import Results, TestOutput
from alljax.storage import cache, model_folder
from alljax.storage.card import Card
from alljax.storage.image_preparation import CellPreparation
from alljax.storage.streamed_pictures import Pictures

NAME = 'ensemble'
TABLE = 'ensemble'  # the part of results.json on its candidates, which the card keeps within `train`
TIMED = 4  # pictures on which its speed is measured


class Member(NamedTuple):
    """A model of an ensemble."""

    name: str  # of its folder
    weight: float
    kind: Kind
    trained: Trained

    @property
    def preparation(self) -> CellPreparation:
        """The way from a cell, as it is kept, to what this member takes."""
        how: CellPreparation = self.trained.card.cell_preparation
        return how


class Ensemble(NamedTuple):
    """Models whose probabilities are averaged, and the card of their common folder."""

    card: Card
    members: tuple[Member, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities."""
        return self.card.classes


def folder_name(number: int, name: str) -> str:
    """The folder of a member within the model folder."""
    return f'member_{number}_{re.sub(r"[^A-Za-z0-9_+-]+", "-", name).strip("-")}'


def load(path: Path) -> Ensemble:
    """The ensemble in a run folder, or in its model/ folder; UserError, naming the member, for a damaged one."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    if not card.members:
        raise UserError(f'{path}: holds a single model; expected an ensemble')
    model_check.known_preparation(card, folder)
    model_folder.check_files(folder)
    members = tuple(
        member(folder / name, name, weight) for name, weight in zip(card.members, card.member_weights, strict=True)
    )
    for one in members:
        if said := differences(card, one.trained.card):
            raise UserError(f'{folder / one.name}: {said}; {model_folder.AGAIN}')
    return Ensemble(card, members)


def member(path: Path, name: str, weight: float) -> Member:
    """The single model in a run folder or model folder, as a member; UserError if it is damaged or an ensemble."""
    folder = model_folder.find(path)
    kind = single_kinds.of_card(model_folder.read_card(folder), folder)
    return Member(name, weight, kind, kind.load(folder))


def differences(first: Card, second: Card) -> str:
    """The first fact in which two cards differ that members of one ensemble share, in words; '' if there is none."""
    for name, words in (
        ('classes', 'the classes'),
        ('data_size', 'cells of data_size'),
        ('denoise', 'cells filtered by data.denoise'),
        ('photograph', 'photographs, not cells:'),
    ):
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours != theirs:
            return f'takes {words} {_said(theirs)}, the other {_said(ours)}'
    return ''


def _said(value: object) -> str:
    return ', '.join(map(str, value)) if isinstance(value, tuple) else str(value)


def save(folder: Path, card: Card, sources: Mapping[str, Path]) -> None:
    """Writes the model folder of an ensemble; `sources` has the model folder of each member, which is copied."""
    with model_folder.replaced(folder, card) as part:
        for name in card.members:
            shutil.copytree(sources[name], part / name)


def predictor(run: Ensemble, *, keep: bool = False) -> Predict:
    """The function from images, as cells are kept, and a batch size to the mean probability of each class.

    With `keep`, measurements and masks are looked for in the user's cache, and kept there.
    """
    whole = [(one.kind.set_predictor if keep else one.kind.predictor)(one.trained) for one in run.members]

    def predict(images: Pictures, batch_size: int) -> Probabilities:
        seen = _prepared(run.members, images, keep=keep)
        return average(
            [of_one(seen[one.preparation], batch_size) for one, of_one in zip(run.members, whole, strict=True)],
            [one.weight for one in run.members],
        )

    return predict


def adapted(run: Ensemble, images: Pictures) -> Ensemble:
    """The ensemble with its members adapted to images, as cells are kept, those that were tested so."""
    seen = _prepared([one for one in run.members if one.trained.card.transductive], images, keep=False)
    members = (
        one._replace(trained=one.kind.adapted(one.trained, seen[one.preparation]))
        if one.trained.card.transductive
        else one
        for one in run.members
    )
    return run._replace(members=tuple(members))


def by_set(run: Ensemble, cells: Cells, batch_size: int) -> Tested:
    """The mean probabilities of a data set, and on whose statistics, where members were tested by slide or set."""
    seen = {how: preparation.of_cells(cells, how) for how in {one.preparation: None for one in run.members}}
    found = [one.kind.by_set(one.trained, seen[one.preparation], batch_size) for one in run.members]
    about = [said for _, said in found if said]
    uses = ' and '.join(dict.fromkeys(said['uses'] for said in about))
    shares = average([shares for shares, _ in found], [one.weight for one in run.members])
    return shares, {**about[0], 'uses': uses} if about else None


def score(run: Ensemble, plan: Plan, cells: Cells, parts: Split, folder: Path) -> TestOutput:
    """The log-probabilities of the test cells, and what the run says about itself and about its candidates."""
    data_check.same_data(run.card.fingerprint, cells, folder)
    test = cells.take(parts.test)
    shares, transductive = by_set(run, test, plan.batch_size)
    train = dict(run.card.train)
    table = train.pop(TABLE, None)
    found: Results = {
        'model': run.card.model,
        'train': train,
        'seconds_a_cell': {'prediction': seconds_a_cell(run, test.images[:TIMED])},
    }
    found |= {TABLE: table} if table else {}
    found |= {'transductive': transductive} if transductive else {}
    return TestOutput(found, np.log(np.maximum(shares, NO_CHANCE)), {})


def average(shares: Iterable[Probabilities], weights: Iterable[float]) -> Probabilities:
    """The weighted mean of probabilities."""
    return np.tensordot(np.array([*weights]), np.stack([*shares]), 1)


def about(members: Sequence[Member]) -> dict[str, Any]:
    """The `model` part of results.json on the members."""
    told = []
    for one in members:
        card: Card = one.trained.card
        prepared = preparation.about(card.cell_preparation)
        told.append({'name': one.name, 'weight': one.weight, 'model': card.model.get('name', 'a network'), **prepared})
    sets = tuple(dict.fromkeys(name for one in members for name in one.trained.card.model.get('trained_on', ())))
    return {'name': NAME, 'members': told, **({'trained_on': list(sets)} if sets else {})}


def training_accuracy(members: Sequence[Member]) -> dict[str, float]:
    """The `accuracy` of the `train` part of results.json: the weighted mean of its members'; none if one is unknown."""
    known = [one.trained.card.train.get('accuracy') for one in members]
    if None in known:
        return {}
    return {'accuracy': float(np.average(known, weights=[one.weight for one in members]))}


def shared(members: Sequence[Member]) -> dict[str, Any]:
    """The fields of an ensemble's card that follow from those of its members."""
    cards = [one.trained.card for one in members]
    units = {card.transductive for card in cards}
    return {
        'classes': cards[0].classes,
        'members': tuple(one.name for one in members),
        'member_weights': tuple(float(one.weight) for one in members),
        'data_size': cards[0].data_size,
        'denoise': cards[0].denoise,
        'synthetic': any(card.synthetic for card in cards),
        'trained_on': tuple(dict.fromkeys(name for card in cards for name in card.trained_on)),
        'model': about(members),
        'transductive': next((unit for unit in ('slide', 'set') if unit in units), ''),
    }


def seconds_a_cell(run: Ensemble, images: Pictures) -> float:
    """Seconds from a picture to its probabilities, with all that the members do, after once that compiles."""
    predict = predictor(run)
    predict(images, len(images))
    began = time.perf_counter()
    predict(images, len(images))
    return (time.perf_counter() - began) / len(images)


def _prepared(members: Iterable[Member], images: Pictures, *, keep: bool) -> dict[CellPreparation, Pictures]:
    """The images in each way that some member takes them."""
    folder = cache.folder('cell_masks') if keep else None
    ways = {one.preparation: None for one in members}
    return {how: preparation.prepare(images, how, folder).images for how in ways}
