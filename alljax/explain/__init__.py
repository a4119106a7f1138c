"""Heat maps of what a trained network looks at on images, and how far each of them is to be believed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from alljax.data import image_files
from alljax.data.image_files import ImageFile, Unread
from alljax.errors import UserError, nearest, some
from alljax.explain import border, calibrated, heat_map_page, output_folder, overlays, true_class
from alljax.explain.measurements import Explanation, Step, explain, no_step
from alljax.explain.methods import METHODS, Method, Options, attends, default_methods, has_rectifiers
from alljax.explain.request import CheckedRequest, Request
from alljax.models import is_linen
from alljax.runs import network, preparation, training_shortcuts
from alljax.runs.map_layer import goes_on_rectified, is_map, is_tokens, last_map_layer, last_token_layer, shape_at
from alljax.runs.network import TrainedNetwork
from alljax.storage import model_folder
from alljax.storage.atomic import write_whole
from alljax.storage.disk_errors import expect_writable, new_folder_problem
from alljax.storage.text_files import write_text

__all__ = [
    'METHODS',
    'CheckedRequest',
    'Method',
    'Request',
    'check',
    'compare',
    'default_folder',
    'find_suspects',
    'summarize',
    'try_concepts',
    'write',
]


def write(request: CheckedRequest, progress: Callable[[Explanation], None], step: Step = no_step) -> list[Explanation]:
    """Explains the images, and writes a picture for each image and method, scores.csv and index.html.

    `progress` is called with each image when it is done, `step` on the way to it. UserError if the folder cannot be
    written.
    """
    folder, run = request.folder, request.run
    output_folder.make(folder)
    found = []
    for cell in explain(run, request.cells, request.methods, request.options, request.target, step):
        found.append(cell)
        output_folder.write_overlays(folder, len(found), cell)
        progress(cell)
    step('writing the page', 0)
    write_whole(folder / 'overview.png', overlays.overview(found, run.classes))
    output_folder.write_scores(folder, found, request.unread, run.classes)
    ringing = any(border.rings(scored.map) for cell in found for scored in cell.maps.values())
    shortcuts = training_shortcuts.of_run(Path(request.name)) if ringing else None
    html = heat_map_page.render(request, found, shortcuts)
    write_text(folder / 'index.html', html)
    return found


def compare(request: CheckedRequest, step: Step = no_step) -> list[str]:
    """Writes comparison.csv and index.html, all measures of the methods on the images, and gives the ranks in lines.

    `step` is called on the way. UserError for fewer than two methods or images, or a folder that cannot be written.
    """
    from alljax.explain import comparison, comparison_page

    comparison.check(request)
    output_folder.make(request.folder)
    found = comparison.compare(request, step)
    write_text(request.folder / 'comparison.csv', comparison.as_csv(found.scores))
    write_text(request.folder / 'index.html', comparison_page.render(request, found))
    return comparison.lines(found)


def try_concepts(
    request: CheckedRequest, folders: Sequence[Path], random: Path | None, step: Step = no_step
) -> list[str]:
    """Writes concepts.csv, along which concepts the logits of the images rise, and gives the table in lines.

    A concept is a folder of images that share something; `random` images share nothing. UserError for folders that
    cannot be used, or an output folder that cannot be written.
    """
    from alljax.explain import concepts

    read = concepts.read(request, folders, random)
    output_folder.make(request.folder)
    found = concepts.scores(request, read, step)
    write_text(request.folder / 'concepts.csv', concepts.as_csv(found, request.options.layer))
    return concepts.lines(found, request.options.layer)


def summarize(request: Request, progress: Callable[[str], None]) -> Path:
    """Writes summary.json and index.html: a trained run's gradients and curvature, and where its predictions come from.

    Those for the images of the request, or for its worst test cells. `progress` is called with sentences. Returns the
    folder; UserError for a folder that is not empty, for images that cannot be read, and for a model without its run.
    """
    from alljax.explain import summary, summary_page  # they load what a run loads

    folder = request.folder or default_folder(request.run)
    problem = new_folder_problem(folder, '--to')
    run = network.load(request.run)
    read = preparation.read(image_files.files(request.paths), run.card)
    unread = [f'{file.path}: {file.error}' for file in read if isinstance(file, Unread)]
    if problem or unread:
        raise UserError(*filter(None, [problem]), *unread)
    images = [file for file in read if isinstance(file, ImageFile)]
    summary.check(request.run, images)
    output_folder.make(folder)
    found = summary.summarize(run, request.run, images, request.batch_size, progress, request.data)
    write_text(folder / 'summary.json', summary.as_json(run, found))
    html = summary_page.render(run, str(request.run), found)
    write_text(folder / 'index.html', html)
    for line in summary_page.lines(run, found):
        progress(line)
    return folder


def find_suspects(request: Request, progress: Callable[[str], None]) -> Path:
    """Writes suspects.csv, suspects.png and suspects.html: the training cells whose label the others contradict most.

    `progress` is called with sentences. Returns the folder; UserError for a folder that is not empty, and for a run of
    whose training cells nothing can be said.
    """
    from alljax.explain import suspects, suspects_page  # they load what a run loads

    folder = request.folder or default_folder(request.run)
    problem = new_folder_problem(folder, '--to')
    if problem:
        raise UserError(problem)
    expect_writable(folder, '--to')
    run = network.load(request.run)
    found = suspects.find(run, request.run, request.batch_size, progress, request.data)
    output_folder.make(folder)
    write_text(folder / 'suspects.csv', suspects.as_csv(found))
    write_whole(folder / 'suspects.png', suspects_page.figure(found))
    write_text(folder / 'suspects.html', suspects_page.render(run, str(request.run), found))
    for line in suspects_page.lines(found):
        progress(line)
    return folder


def check(request: Request) -> CheckedRequest:
    """The request with its network and images; UserError with everything that is wrong with it."""
    names = list(METHODS) if list(request.methods) == ['all'] else list(dict.fromkeys(request.methods))
    problems = [
        f'--methods: there is no method {name!r}{nearest(name, METHODS)}; there are {", ".join(METHODS)}'
        for name in names
        if name not in METHODS
    ]
    if request.batch_size < 1:
        problems.append(f'--batch_size {request.batch_size}: expected 1 or more')
    try:
        run = network.load(request.run)
    except UserError as error:
        problems += [
            *error.problems,
            *filter(None, [new_folder_problem(request.folder, '--to') if request.folder else '']),
        ]
        raise UserError(*problems) from None
    folder = request.folder or default_folder(request.run)
    problems += filter(None, [new_folder_problem(folder, '--to')])
    target = _target(run, request.target, problems)
    layer = _layer(run, request.layer, problems)
    asked = [name for name in names if name in METHODS] or default_methods(run.model, run.variables)
    chosen, notes = _possible(run, asked, layer)
    if not chosen:
        problems += [note.replace('left out, since', 'cannot be had, since').rstrip('.') for note in notes]
    read = preparation.read(image_files.files(request.paths), run.card)
    cells = [file for file in read if isinstance(file, ImageFile)]
    unread = [file for file in read if isinstance(file, Unread)]
    if not cells:
        problems.append(f'no image can be read: {some([f"{file.path} {file.error}" for file in unread], 4)}')
    if problems:
        raise UserError(*problems)
    if run.card.transductive:
        run = network.adapted(run, np.stack([cell.pixels for cell in cells]))
        notes.append(
            'Batch normalization uses the statistics of these images together, as the run was tested (transductive).'
            if len(cells) > 1
            else 'One image has no statistics of its own: batch normalization uses those of training.'
        )
    if run.card.views:
        notes.append('This run averages predictions over views of an image; the heat maps are of the image as it is.')
    notes += filter(None, [calibrated.note(run.card.calibration)])
    on_map = any(METHODS[name].needs == 'map' for name in chosen)
    rectified = on_map and goes_on_rectified(run.model, run.variables, layer)
    options = Options(layer, request.batch_size, rectified)
    known = true_class.of_files([cell.path for cell in cells], run.classes, request.run)
    return CheckedRequest(run, str(request.run), folder, cells, unread, chosen, options, target, notes, known)


def _target(run: TrainedNetwork, name: str | None, problems: list[str]) -> int | None:
    if not run.classes:
        problems.append(f'{run.model.name} has no classes, only features; give a run that has some')
    elif name is not None and name not in run.classes:
        problems.append(
            f'--target {name}: there is no such class{nearest(name, run.classes)}; there are {some([*run.classes])}'
        )
    return run.classes.index(name) if name in run.classes else None


def _layer(run: TrainedNetwork, name: str, problems: list[str]) -> str:
    """The layer whose map or tokens the CAMs take; '' if the network has none."""
    if not name:
        on_map = last_map_layer(run.model, run.variables)
        return on_map.name if on_map else last_token_layer(run.model, run.variables)
    if not is_linen(run.model):
        problems.append(f'--layer {name}: {run.model.name} is no linen module, so its layers cannot be watched')
        return ''
    try:
        shape = shape_at(run.model, run.variables, name)
    except UserError as error:
        problems += [f'--layer: {problem}' for problem in error.problems]
        return name
    if not is_map(shape) and not is_tokens(run.model, shape):
        problems.append(f'--layer {name}: gives {" × ".join(map(str, shape[1:]))}, no map of positions; name another')
    return name


def _possible(run: TrainedNetwork, names: list[str], layer: str) -> tuple[list[str], list[str]]:
    """The methods that the network allows, and sentences about those left out."""
    missing = {}
    if any(METHODS[name].needs == 'map' for name in names) and not layer:
        missing['map'] = 'has no map of positions before its head; --layer may name an earlier one'
    if any(METHODS[name].needs == 'rectifiers' for name in names) and not has_rectifiers(run.model, run.variables):
        missing['rectifiers'] = 'has no rectifiers, so this would be plain saliency'
    if any(METHODS[name].needs == 'attention' for name in names) and not attends(run.model, run.variables):
        missing['attention'] = 'has no attention of each patch to all others'
    notes = []
    for need, why in missing.items():
        without = ', '.join(name for name in names if METHODS[name].needs == need)
        notes.append(f'{without}: left out, since {run.model.name} {why}.')
    return [name for name in names if METHODS[name].needs not in missing], notes


def default_folder(run: Path) -> Path:
    """The folder that the pages of a run go to: one in the run's folder, also for its model/ or a member in there."""
    run = run.parent if (run.parent / model_folder.CARD).is_file() else run
    home = run.parent if run.name == 'model' and (run.parent / 'config.json').is_file() else run
    return home / f'gradients-{datetime.now():%Y%m%d-%H%M%S}'
