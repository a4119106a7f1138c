"""A gallery: one page of all predicted pictures, the most uncertain first, which may be sorted and filtered."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

import alljax
from alljax.errors import UserError, printable, some
from alljax.evaluation import formatting, intervals, page_template
from alljax.predict import Predictor, Row, in_words, scoring
from alljax.predict.scoring import Scored
from alljax.runs import results
from alljax.runs.calibration import UNCERTAIN
from alljax.storage import page_script, run_folder
from alljax.storage.atomic import part_file
from alljax.storage.calibration_record import ANSWERS, TEMPERATURE
from alljax.storage.card import Card
from alljax.storage.image_preparation import UNCHANGED
from alljax.storage.text_files import write_text

BARS, LEAST = 4, 0.0005  # classes of a picture at most, and the probability from which one is named
ROOM = 'alljax.predict'  # where its template lies
DIGITS = 5  # of a probability: the page shows a tenth of a percent


class Gallery(NamedTuple):
    """All that a page of predictions is made of."""

    run: Predictor
    path: Path  # of the run, as the user gave it
    rows: Sequence[Row]
    score: Scored | None  # where the class of pictures is known


def refuse_unwritable(path: Path) -> None:
    """UserError, before any work, for a page that could not be written at its end."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f'--html {path}: is a folder or lies in none that exists; name a file')
    try:
        if path.exists() and not path.is_file():
            path.open('ab').close()
        else:
            with part_file(path.resolve()):
                pass
    except OSError as error:
        raise _unwritable(path, error) from None


def write(path: Path, gallery: Gallery) -> None:
    """Writes the page, whole or not at all; UserError if that cannot be."""
    page = render(gallery)
    try:
        write_text(path, page)
    except OSError as error:
        raise _unwritable(path, error) from None


def render(gallery: Gallery) -> str:
    """The page: one file that loads nothing, in which only its own script may run."""
    run, rows, score = gallery.run, gallery.rows, gallery.score
    read, home = [row for row in rows if row.probabilities is not None], _home(rows)
    script = on_grid('gallery.js', ROOM)
    return page_template.load('gallery.html.jinja', ROOM).render(
        policy=page_script.policy(script),
        script=Markup(script),
        data=page_script.data({'classes': run.classes, 'rows': [_row(row, run.classes, home) for row in read]}),
        css=Markup(page_template.text('report.css')),
        own_css=Markup(on_grid('gallery.css', ROOM)),
        version=alljax.__version__,
        run=printable(str(gallery.path), keep=''),
        model=_name(run.card),
        synthetic=run.card.synthetic,
        total=len(rows),
        summary=_summary(rows, run.card),
        about=about(run.card, gallery.path),
        calibrated=run.card.calibration is not None,
        score=score,
        sentences=scoring.sentences(score) if score else [],
        classes=run.classes,
        predicted=_occurring([int(row.probabilities.argmax()) for row in read if row.probabilities is not None], run),
        labelled=_occurring([run.classes.index(row.label) for row in read if row.label], run),
        pictures=_about_pictures(run.card, home),
        unread=[(_short(row.file, home), row.error) for row in rows if row.error],
    )


def on_grid(name: str, room: str) -> str:
    """A script or a style sheet of a page that shows pictures in a grid, after that of the grid itself."""
    return page_template.text(f'picture_grid.{name.rpartition(".")[2]}', ROOM) + page_template.text(name, room)


def about(card: Card, path: Path) -> list[tuple[str, str]]:
    """The model in words, with headings: what it is, what it was trained on, how well it did and on what."""
    found = _results(path)
    said = [('Model', _name(card)), ('Classes', some([*card.classes], 12) or 'none')]
    data = (found or {}).get('data', {})
    folds = (found or {}).get('cross_validation', {})
    cells = (
        folds.get('cells')
        or (found or {}).get('split', {}).get('train_n')
        or (card.pictures.cells if card.pictures else 0)
    )
    trained = [f'{cells:,} cells'] if cells else []
    trained += [f'of {formatting.set_name(data["name"], data.get("root", ""))}'] if 'name' in data else []
    before = [f'before that on {some([*card.trained_on])}'] if card.trained_on else []
    words = ', '.join(filter(None, [' '.join(trained), *before]))
    said.append(('Trained on', words[:1].upper() + words[1:] or 'the model does not tell'))
    said.append(('Tested', _tested(card, found)))
    return [*said, ('Probabilities', _certainty(card))]


def _tested(card: Card, found: dict[str, Any] | None) -> str:
    """The score of the model with its interval, and on which cells it was had."""
    if found is not None and found['test']['n']:
        test, split = found['test'], found['split']
        interval = formatting.interval(intervals.quoted(test['accuracy_ci95']), test['n'])
        marks = ', '.join(results.marks(found)) or f'{split["protocol"]} split'
        if 'cross_validation' in found:
            return (
                f'by the folds of a cross-validation, each a model of its own: accuracy '
                f'{formatting.percent(test["accuracy"], test["n"])} (95% {interval}) on {test["n"]:,} cells; {marks}'
            )
        return (
            f'accuracy {formatting.percent(test["accuracy"], test["n"])} (95% {interval}) on the {test["n"]:,} test '
            f'cells of its run; {marks}'
        )
    score = card.scores
    if score is None:
        return 'never, as far as its card tells'
    interval = formatting.interval((score.low, score.high), score.cells)
    leaky = '; leaky: too high for new patients' if score.leaky else ''
    if score.source:
        return (
            f'by the folds of its {score.source}, each a model of its own: accuracy '
            f'{formatting.percent(score.accuracy, score.cells)} (95% {interval}) on {score.cells:,} cells{leaky}'
        )
    return (
        f'accuracy {formatting.percent(score.accuracy, score.cells)} (95% {interval}, Wilson’s, as if each cell stood '
        f'alone) on the {score.cells:,} test cells of its run, {score.protocol} split{leaky}'
    )


def _certainty(card: Card) -> str:
    known = card.calibration
    if known is None:
        return 'not calibrated: a confidence says little about how often the model is right'
    measured = f'calibrated on {known.cells:,} cells of {known.groups:,} groups that did not train it, {known.source}'
    if TEMPERATURE in known.refused:
        measured = f'not calibrated: a temperature did harm on cells of {known.groups:,} groups that had no part in it'
    if ANSWERS in known.refused:
        return f'{measured}; too few groups to promise an accuracy of {known.accuracy:.0%}, so all is called uncertain'
    if known.certain is None:
        return (
            f'{measured}; no confidence reached an accuracy of {known.accuracy:.0%} there, so all is called uncertain'
        )
    return f'{measured}; below {known.certain:.1%} it is called uncertain: from there {known.accuracy:.0%} were right'


def _results(path: Path) -> dict[str, Any] | None:
    """The results.json of the run in a folder, or of that whose model/ it is; None where there is none to be read."""
    folder = run_folder.around(path)
    try:
        return results.read(folder) if run_folder.is_finished(folder) else None
    except UserError:
        return None


def _name(card: Card) -> str:
    """The name of the model, with the network whose features a classical system takes, or those of its members."""
    name = card.model.get('name') or (card.network.name if card.network else 'The model')
    features, members = card.model.get('network'), card.model.get('members')
    if card.members and isinstance(members, list):
        return f'{name} of {some([str(member.get("model", member.get("name", "?"))) for member in members])}'
    return f'{name} ({features})' if isinstance(features, str) and features != name else str(name)


def _summary(rows: Sequence[Row], card: Card) -> str:
    """The pictures in one sentence."""
    counts = {
        'uncertain': sum(row.answer == UNCERTAIN for row in rows),
        'unlike the training cells': sum(row.is_unlike for row in rows),
        'not read': sum(bool(row.error) for row in rows),
    }
    said = [f'{count:,} {words}' for words, count in counts.items() if count]
    if card.pictures is None and card.likeness is None and not card.photograph:
        said.append('the model does not tell how its training cells look, so no picture is called unlike them')
    return f'{len(rows):,} {"picture" if len(rows) == 1 else "pictures"}' + (f': {", ".join(said)}.' if said else '.')


def _about_pictures(card: Card, home: str) -> str:
    changed = card.cell_preparation != UNCHANGED or card.denoise != 'none'
    prepared = ', after its preparation' if changed else ''
    named = f' Files are named from {printable(home, keep="")}.' if home else ''
    return f'Each picture is shown as the model takes it{prepared}, with the most probable classes.{named}'


def _occurring(places: Sequence[int], run: Predictor) -> list[tuple[int, str]]:
    return [(place, run.classes[place]) for place in sorted(set(places))]


def _home(rows: Sequence[Row]) -> str:
    """The folder that all files lie in, at any depth; '' where there is none but the root."""
    parents = {str(Path(row.file).parent) for row in rows}
    if len({Path(parent).is_absolute() for parent in parents}) != 1:
        return ''
    home = os.path.commonpath(parents)
    return '' if home in ('', '.', '/') else home


def _short(file: str, home: str) -> str:
    """The name of a file from the common folder, as a page may have it."""
    return printable(str(Path(file).relative_to(home)) if home else file, keep='')


def _row(row: Row, classes: Sequence[str], home: str) -> dict[str, Any]:
    """A row for the script."""
    assert row.probabilities is not None
    best = (-row.probabilities).argsort(kind='stable')[:BARS].tolist()
    best = [place for place in best if place == best[0] or row.probabilities[place] >= LEAST]
    return {
        'file': _short(row.file, home),
        'label': classes.index(row.label) if row.label else -1,
        'top': [(place, round(float(row.probabilities[place]), DIGITS)) for place in best],
        'uncertain': f'uncertain: {in_words(row.possible, classes)}' if row.answer == UNCERTAIN else '',
        'unlike': row.unlike if row.is_unlike else '',
        'note': row.note,
        'picture': base64.b64encode(row.thumbnail).decode('ascii'),
    }


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f'--html {path}: cannot be written ({error.strerror}); name another file')
