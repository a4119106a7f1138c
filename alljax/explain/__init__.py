"""Shows on images what a trained network looks at, and how far each heat map is to be believed.

A run folder and images to heat maps: `python -m alljax.gradients RUN IMAGES… [--methods …] [--to FOLDER]`.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from alljax import config
from alljax.data import image_files
from alljax.data.image_files import Picture, Unread
from alljax.errors import UserError, nearest, some
from alljax.explain import output_folder, overlays, page, summary, summary_page
from alljax.explain.measurements import Explained, Where, areas, explain, located
from alljax.explain.methods import (
    DEFAULT,
    METHODS,
    Options,
    goes_on_rectified,
    has_rectifiers,
    is_linen,
    is_map,
    last_map,
    shape_at,
)
from alljax.explain.methods import Method as Method  # for those who add one
from alljax.runs import trained
from alljax.runs.trained import Trained
from alljax.storage import cache
from alljax.storage.atomic import write_whole

BATCH = 32
NOWHERE = Where(*[float('nan')] * 3)

EPILOG = (
    f'The methods are {", ".join(METHODS)}. By default {", ".join(DEFAULT)}: a coarse map of what the last layers go '
    'by, the pixels that add up to the logit, and those it is most sensitive to, in seconds an image. occlusion and '
    'rise ask the network hundreds of times an image. guided and deconv are left out because they show edges nearly '
    'regardless of the weights.'
)


class Asked(NamedTuple):
    """A call whose every part was found to make sense."""

    run: Trained
    cells: list[Picture]
    unread: list[Unread]
    methods: list[str]
    options: Options
    target: int | None
    notes: list[str]  # what was left out, in sentences


def main(arguments: list[str] | None = None) -> int:
    """Prints a line an image, then where the page is; the exit code is 1 if any image could not be read."""
    options = _parser().parse_args(arguments)
    if options.config:
        config.load(options.config)
    folder = options.to or _default(options.run)
    if options.summary:
        return _summary(options, folder)
    if not options.paths:
        raise UserError('name images, or folders of them; or ask for --summary')
    asked = _checked(options, folder)
    output_folder.make(folder)
    cache.keep_compiled_programs()
    if asked.run.facts.get('synthetic'):
        print('This model was trained on synthetic cells: what it says of real ones means nothing.', file=sys.stderr)
    for note in asked.notes:
        _say(note)
    for file in asked.unread:
        _say(f'{file.path}: error: {file.error}')
    found = []
    for one in explain(asked.run, asked.cells, asked.methods, asked.options, asked.target):
        found.append(one)
        output_folder.pictures(folder, len(found), one)
        _say(_line(one, asked.run.classes))
    write_whole(folder / 'overview.png', overlays.overview(found, asked.run.classes))
    output_folder.scores(folder, found, asked.unread, asked.run.classes)
    html = page.render(asked.run, str(options.run), asked.methods, asked.options, found, asked.unread, asked.notes)
    # a file name that is not UTF-8 reaches us with surrogates, which no page can hold
    write_whole(folder / 'index.html', html.encode(errors='backslashreplace'))
    for line in _table(found, asked.methods):
        _say(line)
    _say(f'written: {folder / "index.html"}')
    return int(bool(asked.unread))


def _summary(options: argparse.Namespace, folder: Path) -> int:
    problem = output_folder.problem(folder)
    run = trained.load(options.run)
    read = [image_files.read(run.facts, file) for file in image_files.files(options.paths)]
    unread = [f'{file.path}: {file.error}' for file in read if isinstance(file, Unread)]
    if problem or unread:
        raise UserError(*filter(None, [problem]), *unread)
    output_folder.make(folder)
    cache.keep_compiled_programs()
    images = [file for file in read if isinstance(file, Picture)]
    found = summary.summarize(run, options.run, images, options.batch_size, _say)
    write_whole(folder / 'summary.json', summary.as_json(run, found).encode(errors='backslashreplace'))
    html = summary_page.render(run, str(options.run), found)
    write_whole(folder / 'index.html', html.encode(errors='backslashreplace'))
    for line in summary_page.lines(run, found):
        _say(line)
    _say(f'written: {folder / "index.html"}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m alljax.gradients', description=(__doc__ or '').splitlines()[0], epilog=EPILOG
    )
    parser.add_argument('run', type=Path, metavar='RUN', help='a run folder, or the model/ folder of one')
    parser.add_argument('paths', type=Path, nargs='*', metavar='IMAGES', help='images, or folders of them')
    parser.add_argument(
        '--methods', default='', metavar='M,M', help='names with commas between, or all (default: see below)'
    )
    parser.add_argument(
        '--to', type=Path, metavar='FOLDER', help='a new or empty folder (default RUN/gradients-<time>)'
    )
    parser.add_argument(
        '--summary',
        action='store_true',
        help='instead: gradient statistics and curvature on the run’s own cells, and the training cells from which the '
        'predictions for IMAGES come, or those for its worst test cells',
    )
    parser.add_argument('--target', metavar='CLASS', help='the class to explain (default: each image’s predicted one)')
    parser.add_argument(
        '--layer', default='', help='whose map gradcam, gradcam++ and layercam take (default: the last before the head)'
    )
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    parser.add_argument(
        '--batch_size',
        type=int,
        default=BATCH,
        metavar='N',
        help=f'images at once (default {BATCH}), fewer save memory',
    )
    return parser


def _checked(options: argparse.Namespace, folder: Path) -> Asked:
    """All that the command line asks for; UserError with everything that is wrong with it."""
    names = [name.strip() for name in options.methods.split(',') if name.strip()]
    names = list(METHODS) if names == ['all'] else list(dict.fromkeys(names))
    problems = [
        f'--methods: there is no method {name!r}{nearest(name, METHODS)}; there are {", ".join(METHODS)}'
        for name in names
        if name not in METHODS
    ]
    if options.batch_size < 1:
        problems.append(f'--batch_size {options.batch_size}: expected 1 or more')
    try:
        run = trained.load(options.run)
    except UserError as error:
        problems += [*error.problems, *filter(None, [output_folder.problem(options.to) if options.to else ''])]
        raise UserError(*problems) from None
    problems += filter(None, [output_folder.problem(folder)])
    target = _target(run, options.target, problems)
    layer = _layer(run, options.layer, problems)
    chosen, notes = _possible(run, [name for name in names if name in METHODS] or list(DEFAULT), bool(names) and
                              options.methods.strip() != 'all', layer, problems)  # fmt: skip
    read = [image_files.read(run.facts, file) for file in image_files.files(options.paths)]
    cells = [file for file in read if isinstance(file, Picture)]
    unread = [file for file in read if isinstance(file, Unread)]
    if not cells:
        problems.append(f'no image can be read: {some([f"{file.path} {file.error}" for file in unread], 4)}')
    if problems:
        raise UserError(*problems)
    on_map = any(METHODS[name].needs == 'map' for name in chosen)
    rectified = on_map and goes_on_rectified(run.model, run.variables, layer)
    return Asked(run, cells, unread, chosen, Options(layer, options.batch_size, rectified), target, notes)


def _target(run: Trained, name: str | None, problems: list[str]) -> int | None:
    if not run.classes:
        problems.append(f'{run.model.name} has no classes, only features; give a run that has some')
    elif name is not None and name not in run.classes:
        problems.append(
            f'--target {name}: there is no such class{nearest(name, run.classes)}; there are {some([*run.classes])}'
        )
    return run.classes.index(name) if name in run.classes else None


def _layer(run: Trained, name: str, problems: list[str]) -> str:
    """The layer whose map the CAMs take; '' if the network has none."""
    if not name:
        return last_map(run.model, run.variables)
    if not is_linen(run.model):
        problems.append(f'--layer {name}: {run.model.name} is no linen module, so its layers cannot be watched')
        return ''
    try:
        shape = shape_at(run.model, run.variables, name)
    except UserError as error:
        problems += [f'--layer: {problem}' for problem in error.problems]
        return name
    if not is_map(shape):
        problems.append(f'--layer {name}: gives {" × ".join(map(str, shape[1:]))}, no map of positions; name another')
    return name


def _possible(
    run: Trained, names: list[str], by_name: bool, layer: str, problems: list[str]
) -> tuple[list[str], list[str]]:
    """The methods that the network allows, and sentences about those left out; a problem if they were asked for."""
    missing = {}
    if any(METHODS[name].needs == 'map' for name in names) and not layer:
        missing['map'] = 'has no map of positions before its head; --layer may name an earlier one'
    if any(METHODS[name].needs == 'rectifiers' for name in names) and not has_rectifiers(run.model, run.variables):
        missing['rectifiers'] = 'has no rectifiers, so this would be plain saliency'
    notes = []
    for need, why in missing.items():
        without = ', '.join(name for name in names if METHODS[name].needs == need)
        notes.append(f'{without}: left out, since {run.model.name} {why}.')
    if by_name:
        problems += [note.replace('left out, since', 'cannot be had, since').rstrip('.') for note in notes]
    return [name for name in names if METHODS[name].needs not in missing], notes


def _default(run: Path) -> Path:
    """In the run's folder, also where its model/ is given."""
    home = run.parent if run.name == 'model' and (run.parent / 'config.json').is_file() else run
    return home / f'gradients-{datetime.now():%Y%m%d-%H%M%S}'


def _line(one: Explained, classes: tuple[str, ...]) -> str:
    said = ', '.join(
        f'{name} {page.area(marked.deletion)}/{page.area(marked.insertion)}' for name, marked in one.marked.items()
    )
    note = f' ({one.note})' if one.note else ''
    return f'{one.file}: {classes[one.target]} {one.probabilities[one.target]:.1%}; deletion/insertion {said}{note}'


def _table(found: Sequence[Explained], methods: Iterable[str]) -> list[str]:
    """Where the attributions lie, if that can be told."""
    chance, count = areas(found)
    if not count:
        return []
    lines = [
        f'attribution on the drawn cell, means of {count} (peak: how often the most marked pixel lies there)',
        f'  {"method":12} {"on the cell":>12} {"peak":>6} {"on the nucleus":>16} {"peak":>6}',
    ]
    for name in methods:
        cell, nucleus = (located(found, name).get(region, NOWHERE) for region in ('cell', 'nucleus'))
        lines.append(
            f'  {name:12} {page.share(cell.mass):>12} {page.share(cell.pointing):>6}'
            f' {page.share(nucleus.mass):>16} {page.share(nucleus.pointing):>6}'
        )
    first, second = (page.share(chance[region]) for region in ('cell', 'nucleus'))
    return [*lines, f'  {"by chance":12} {first:>12} {first:>6} {second:>16} {second:>6}']


def _say(line: str) -> None:
    print(line.encode(errors='backslashreplace').decode(), flush=True)
