"""The final model of a cross-validation: trained on all cells, with the accuracy of the folds in place of a test."""

from pathlib import Path

from alljax.data.split import BY_GROUP
from alljax.errors import UserError
from alljax.evaluation import fold_table
from alljax.runs import results
from alljax.runs.results import Results
from alljax.storage import model_folder, run_folder

SOURCE = 'cross-validation'  # of the scores on its card


def about(path: Path) -> str:
    """A sentence on a model that was trained on all cells, and what is known of its accuracy; '' for any other model.

    `path` is a run folder, the folder of a cross-validation, or a model folder. UserError if there is no model.
    """
    model = model_folder.find(path)
    card = model_folder.read_card(model)
    scores, run = card.scores, model.parent
    if scores is None or scores.source != SOURCE:
        if model.name == 'model' and run_folder.earlier(run).get(run_folder.ALL_CELLS):
            return 'this model was trained on all cells and tested on none, so nothing is known of its accuracy'
        return ''
    known = scores.grouping == 'patient or slide'
    if scores.protocol not in BY_GROUP:
        where = 'cells of slides that it knows (leaky split)'
    else:
        where = 'new slides' if known else 'new cells (the slides are not known, so it may be too high for new ones)'
    held_out = card.train.get('best_epoch') is not None or (
        card.calibration is not None and card.calibration.source == 'validation fold'
    )
    whole = f'all {scores.cells:,} cells' + ' but a validation fold' * held_out
    name = fold_table.name(scores.protocol, scores.folds, 1)
    accuracy, low, high = (100 * share for share in (scores.accuracy, scores.low, scores.high))
    return (
        f'the final model of a {name}, trained on {whole}; its accuracy on {where} was estimated by the folds: '
        f'{accuracy:.1f} % ({low:.1f} to {high:.1f})'
    )


def check(run: Path) -> None:
    """UserError, with the remedy, if the final model in its finished run folder is damaged."""
    try:
        model_folder.check(run / 'model')
    except UserError as error:
        raise UserError(f'{error}: delete {run} and give the same command again, which trains it again') from None


def run_of(path: Path) -> Path:
    """The folder of the run whose model a path means: that of the final model for a cross-validation, else itself."""
    model = model_folder.find(path)
    return model.parent if model.name == 'model' else path


def or_a_fold(path: Path) -> str:
    """', or a fold, such as …' for the folder of a cross-validation or that of its final model; '' for another run."""
    run = run_of(path)
    home = run.parent if run.name == run_folder.FINAL else run
    folds = run_folder.runs_below(home)
    return f', or a fold, such as {folds[0]}' if folds else ''


def external_tests(final: Results) -> list[Results]:
    """The external tests of a final model, from its results.json; their files as the cross-validation sees them."""

    def below(name: str) -> str:
        return f'{run_folder.FINAL}/{name}'

    return [
        {
            **entry,
            'predictions': below(entry['predictions']),
            'leak_audit': {**entry['leak_audit'], 'file': below(entry['leak_audit']['file'])},
        }
        for entry in results.externals(final)
    ]
