"""An ensemble of finished runs: folds of a cross-validation, a network by several seeds, several networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.errors import UserError, some
from alljax.runs import ensemble, results
from alljax.runs.ensemble import Ensemble, Member
from alljax.storage import model_folder, run_folder
from alljax.storage.card import Card
from alljax.storage.disk_errors import expect_writable
from alljax.storage.image_preparation import UNCHANGED


class Joined(NamedTuple):
    """An ensemble that was written, and the runs that it is made of."""

    run: Ensemble
    runs: tuple[Path, ...]
    folder: Path  # of the model


def written(paths: Sequence[Path], to: Path) -> Joined:
    """The ensemble of all finished runs that the paths name, written as the model folder `to`, with equal weights.

    A path is a run folder, a model folder, or a folder that holds the runs of a cross-validation or of a sweep's
    variant. Runs that are ensembles themselves bring their members along, each with its share. UserError if models do
    not take the same cells and classes, for a damaged or unfinished one, and if there is something at `to`.
    """
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise UserError(f'--to {to}: is there already; name a new folder')
    expect_writable(to, '--to')
    runs = tuple(run for path in paths for run in _runs(path))
    homes = [run_folder.around(run.absolute()) for run in runs]
    same = sorted({str(home) for home in homes if homes.count(home) > 1})
    if same:
        raise UserError(f'{some(same)}: is named twice; name each run once')
    members: list[Member] = []
    sources: dict[str, Path] = {}
    problems: list[str] = []
    for run in runs:
        try:
            for name, folder, weight in _models(run, paths):
                one = ensemble.member(folder, ensemble.folder_name(len(members) + 1, name), weight / len(runs))
                members.append(one)
                sources[one.name] = folder
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(*problems)
    _check_same(members, sources)
    card = _card(members)
    ensemble.save(to, card, sources)
    return Joined(Ensemble(card, tuple(members)), runs, to)


def _runs(path: Path) -> list[Path]:
    """The run that a path means, or all runs below it; UserError for a folder without any, and for unfinished ones."""
    if not path.exists():
        raise UserError(f'{path}: there is no such folder; expected a run folder, or one with the runs of a sweep')
    path = path.resolve()
    if (path / run_folder.CONFIG).is_file() and (path / 'model').is_dir() and not run_folder.is_finished(path):
        raise UserError(f'{path}: is not finished; give its command again first')
    if any((folder / model_folder.CARD).is_file() for folder in (path, path / 'model')):
        return [path]
    runs = run_folder.runs_below(path)
    _check_all_folds(path, runs)
    unfinished = [str(run) for run in runs if not run_folder.is_finished(run)]
    if not runs:
        model_folder.find(path)
    if unfinished:
        raise UserError(f'{some(unfinished, 4)}: is not finished; give the command of that run or sweep again first')
    return runs


def _check_all_folds(path: Path, runs: Sequence[Path]) -> None:
    """UserError if the folder of a finished cross-validation lacks one of the folds that its results name."""
    if not run_folder.is_cross_validation(path):
        return
    folds = [path / one['folder'] for one in results.read(path)[run_folder.CROSS_VALIDATION]['folds']]
    lost = [fold for fold in folds if fold not in runs]
    for fold in lost:
        run_folder.check_config(fold)
    if lost:
        raise UserError(
            f'{some([*map(str, lost)], 4)}: is gone, a fold of this cross-validation; give its command again first'
        )


def _models(run: Path, paths: Sequence[Path]) -> list[tuple[str, Path, float]]:
    """The name, the model folder and the weight of each single model of a run."""
    folder = model_folder.find(run)
    card = model_folder.read_card(folder)
    home = next((path.resolve() for path in paths if path.resolve() in run.parents), run.parent)
    name = run.relative_to(home).as_posix() if run.name != 'model' else run.parent.name
    if not card.members:
        return [(name, folder, 1.0)]
    return [
        (f'{name}-{one.partition("_")[2]}', folder / one, weight)
        for one, weight in zip(card.members, card.member_weights, strict=True)
    ]


def _check_same(members: Sequence[Member], sources: Mapping[str, Path]) -> None:
    """UserError, naming two models, if some do not take the same cells and classes."""
    first = members[0]
    for one in members:
        card: Card = one.trained.card
        if card.photograph or card.data_size is None:
            raise UserError(
                f'{sources[one.name]}: was trained on photographs of anything, not on cells; name runs of alljax'
            )
        if said := ensemble.differences(first.trained.card, card):
            raise UserError(f'{sources[one.name]} and {sources[first.name]}: one {said}; name runs of the same cells')


def _card(members: Sequence[Member]) -> Card:
    """The card of an ensemble of runs, without score and calibration: each has trained on cells of the others' tests.

    The training cells' look is that of a member that sees cells as they come, if one does.
    """
    cards: list[Card] = [one.trained.card for one in members]
    same = len({card.fingerprint for card in cards}) == 1
    plain = [card.pictures for one, card in zip(members, cards, strict=True) if one.preparation == UNCHANGED]
    return Card(
        **ensemble.shared(members),
        fingerprint=cards[0].fingerprint if same else '',
        pictures=next(filter(None, plain), None),
    )
