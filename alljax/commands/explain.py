"""Shows on images what a trained network looks at, and how far each heat map is to be believed."""

import argparse
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from alljax.commands import Parser, count_steps, progress_bar, tell_final_model, warn_of_synthetic
from alljax.errors import UserError, printable

if TYPE_CHECKING:
    from alljax.explain import CheckedRequest
    from alljax.explain.measurements import Explanation

BATCH = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line an image, then where the page is; the exit code is 1 if any image could not be read."""
    options = _parser().parse_args(arguments)
    with progress_bar('reading the model and the images') as shown:
        return _explain(options, shown)


def _tell_final_model(run: Path, shown: tqdm) -> None:
    with shown.external_write_mode(file=sys.stderr):
        tell_final_model(run)


def _explain(options: argparse.Namespace, shown: tqdm) -> int:
    from alljax import config, explain
    from alljax.storage import cache

    def doing(sentence: str) -> None:
        shown.set_description_str(sentence)
        _say(sentence)

    instead = [name for name in ('summary', 'compare', 'suspects', 'concept') if getattr(options, name)]
    if len(instead) > 1:
        raise UserError(f'--{" and --".join(instead)}: each asks for a page of its own; give one of them')
    if options.config:
        config.load(options.config)
    methods = [name.strip() for name in options.methods.split(',') if name.strip()]
    request = explain.Request(
        options.run, options.paths, methods, options.batch_size, options.target, options.layer, options.to, options.data
    )
    cache.keep_compiled_programs()
    if options.summary:
        _tell_final_model(options.run, shown)
        _say(f'written: {explain.summarize(request, doing) / "index.html"}')
        return 0
    if options.suspects:
        if options.paths:
            raise UserError('--suspects asks for the run’s own training cells; leave the images out')
        _tell_final_model(options.run, shown)
        _say(f'written: {explain.find_suspects(request, doing) / "suspects.html"}')
        return 0
    if not options.paths:
        raise UserError('name images, or folders of them; or ask for --summary or --suspects')
    checked = explain.check(request)
    _tell_final_model(options.run, shown)
    if checked.run.card.synthetic:
        warn_of_synthetic()
    for note in checked.notes:
        _say(note)
    for file in checked.unread:
        _say(f'{file.path}: error: {file.error}')
    if options.compare:
        for line in explain.compare(checked, count_steps(shown, len(checked.methods), 'methods')):
            _say(line)
        _say(f'written: {checked.folder / "index.html"}')
        return int(bool(checked.unread))
    if options.concept:
        step = count_steps(shown, len(options.concept), 'concepts')
        for line in explain.try_concepts(checked, options.concept, options.random, step):
            _say(line)
        _say(f'written: {checked.folder / "concepts.csv"}')
        return int(bool(checked.unread))
    step = count_steps(shown, len(checked.cells) * len(checked.methods), 'maps')
    found = explain.write(checked, lambda cell: _say(_line(cell, checked)), step)
    for line in _table(found, checked.methods):
        _say(line)
    _say(f'written: {checked.folder / "index.html"}')
    return int(bool(checked.unread))


def _line(cell: 'Explanation', checked: 'CheckedRequest') -> str:
    from alljax.explain import page

    classes, truth = checked.run.classes, checked.true_classes.get(Path(cell.file))
    scores = ', '.join(
        f'{name} {page.area(scored.deletion_auc)}/{page.area(scored.insertion_auc)}'
        for name, scored in cell.maps.items()
    )
    note = f' ({cell.note})' if cell.note else ''
    probability = f'{classes[cell.target]} {cell.probabilities[cell.target]:.1%}'
    probability += f', true class {truth.name} ({truth.source})' if truth else ''
    return f'{cell.file}: {probability}; deletion/insertion {scores}{note}'


def _table(found: Sequence['Explanation'], methods: Iterable[str]) -> list[str]:
    """The shares of the attributions on the cell and on its nucleus, if these are known."""
    from alljax.explain import page
    from alljax.explain.measurements import RegionScores, mean_region_areas, mean_region_scores

    chance, count = mean_region_areas(found)
    if not count:
        return []
    lines = [
        f'attribution on the drawn cell, means of {count} (peak: how often the most marked pixel lies there)',
        f'  {"method":12} {"on the cell":>12} {"peak":>6} {"on the nucleus":>16} {"peak":>6}',
    ]
    nowhere = RegionScores(*[float('nan')] * 3)
    for name in methods:
        cell, nucleus = (mean_region_scores(found, name).get(region, nowhere) for region in ('cell', 'nucleus'))
        lines.append(
            f'  {name:12} {page.share(cell.mass):>12} {page.share(cell.pointing):>6}'
            f' {page.share(nucleus.mass):>16} {page.share(nucleus.pointing):>6}'
        )
    first, second = (page.share(chance[region]) for region in ('cell', 'nucleus'))
    return [*lines, f'  {"by chance":12} {first:>12} {first:>6} {second:>16} {second:>6}']


def _say(line: str) -> None:
    with tqdm.external_write_mode():  # a bar makes room for the line
        print(printable(line), flush=True)


def _parser() -> Parser:
    parser = Parser('explain', __doc__, 'alljax explain runs/my-run cells/ --methods gradcam,integrated', _methods)
    parser.add_run()
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
    parser.add_argument(
        '--suspects',
        action='store_true',
        help='instead: the run’s own training cells whose label is most likely wrong, as suspects.csv and a page that '
        'shows the cells that contradict it',
    )
    parser.add_argument(
        '--compare',
        action='store_true',
        help='instead: up to 14 measures of each method on all IMAGES, with intervals, and the methods by rank',
    )
    parser.add_argument(
        '--concept',
        type=Path,
        nargs='+',
        metavar='FOLDER',
        help='instead: whether the logits of IMAGES rise along what the images in each of these folders share (TCAV), '
        'tested against the images of --random; at --layer, by default that of the CAMs',
    )
    parser.add_argument('--random', type=Path, metavar='FOLDER', help='with --concept: images that share nothing')
    parser.add_argument(
        '--data',
        type=Path,
        metavar='DIR',
        help='with --summary or --suspects: the run’s cells, if they are no longer where they were',
    )
    parser.add_argument('--target', metavar='CLASS', help='the class to explain (default: each image’s predicted one)')
    parser.add_argument('--layer', default='', help='whose map the CAMs take (default: the last before the head)')
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    parser.add_argument(
        '--batch_size',
        type=int,
        default=BATCH,
        metavar='N',
        help=f'images at once (default {BATCH}), fewer save memory',
    )
    return parser


def _methods() -> str:
    from alljax.explain.methods import DEFAULT, METHODS

    return textwrap.fill(
        f'The methods are {", ".join(METHODS)}. By default {", ".join(DEFAULT)}: a coarse map of what the last layers '
        'go by, the pixels that add up to the logit, and those it is most sensitive to, in seconds an image; of a '
        'transformer attention, too. occlusion, rise, scorecam, ablationcam and superpixels ask the network tens or '
        'hundreds of times an image. guided and deconv are left out because they show edges '
        'nearly regardless of the weights.',
        100,
    )
