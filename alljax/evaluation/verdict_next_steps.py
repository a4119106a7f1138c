"""The advice of a verdict: a function for each step, which gives it only where the numbers ask for it."""

import shlex
from collections.abc import Callable

from alljax.evaluation import verdict_certainty, verdict_findings
from alljax.evaluation.slides import KNOWN, worst
from alljax.evaluation.verdict_facts import Facts, Sentence, listed

Step = Callable[[Facts], str]  # '' where it is not needed
EVERY_CLASS = 'Collect more slides of every class: one more slide says more than many cells of a known one.'


def own_cells(known: Facts) -> str:
    """From drawn cells to one's own."""
    if not known.results['data']['synthetic']:
        return ''
    return 'Name your own cells: --config.data.root=DIR. These were drawn by a program.'


def name_slides(known: Facts) -> str:
    """The table of groups, where slides are not known."""
    if known.grouping == KNOWN or known.results['data']['synthetic']:
        return ''
    return (
        'Name the slide or patient of every cell, in a groups.csv (file,group) or in the column group of cells.csv; '
        '`alljax audit DIR` writes a groups.csv of repeated cells at least.'
    )


def split_by_slide(known: Facts) -> str:
    """The split that does not leak."""
    return 'Test on new slides: --config.split.protocol=grouped.' if known.leaky else ''


def more_slides(known: Facts) -> str:
    """The classes that new slides are needed of: those with few, else the one that is recognized worst."""
    if not known.new_slides:
        return ''
    count = {name: known.slides_of(name) for name in known.classes}
    few = [name for name in sorted(count, key=lambda name: count[name]) if count[name] <= verdict_findings.FEW_SLIDES]
    if few and len(few) == len(count):
        return EVERY_CLASS
    if few:
        return f'Collect more slides, of {listed(few)} first: one more slide says more than many cells of a known one.'
    recalls = {name: row['recall'] for name, row in known.test['per_class'].items() if row['recall'] is not None}
    lowest = min(recalls, key=lambda name: recalls[name])
    if verdict_findings.accuracy(known).tone != 'warn' and recalls[lowest] >= 0.9:
        return ''
    if recalls[lowest] == 1:
        return EVERY_CLASS
    return (
        f'Collect more slides, of {lowest} first (its sensitivity, {verdict_findings.percent(recalls[lowest])}, is the '
        'lowest): one more slide says more than many cells of a known one.'
    )


def look_at_slides(known: Facts) -> str:
    """The slides that make half of the errors."""
    if verdict_findings.worst_slides(known) is None:
        return ''
    names = listed([slide.name for slide in worst(known.slides)], 6)
    return f'Look at the worst slides ({names}) in report.html: stain, focus, labels.'


def recipe(known: Facts) -> str:
    """The recipe for new slides, where a model of another kind learned the slides."""
    found = verdict_findings.training(known)
    if not known.new_slides or not found or found.tone != 'bad' or known.results['model'].get('members'):
        return ''
    root = shlex.quote(known.results['data'].get('root') or 'DIR')
    command = f'python launch.py --config=configs/new_slide.py --config.data.root={root}'
    return f'Try the recipe that was made for new slides: `{command}`.'


def test_every_slide(known: Facts) -> str:
    """A cross-validation, where a single hold-out leaves a wide interval."""
    of_folds = 'cross_validation' in known.results or verdict_findings.fold(known) is not None
    if of_folds or not known.new_slides or verdict_findings.accuracy(known).tone not in ('warn', 'bad'):
        return ''
    return 'Test every slide once: --config.split.folds=5.'


def calibrate(known: Facts) -> str:
    """A calibration, where the confidence promises more than it holds."""
    found = verdict_certainty.confidence(known)
    if 'calibration' in known.results or not found or found.tone == 'good':
        return ''
    return (
        'Let the model say when it is uncertain: --config.calibration.fit=validation --config.split.validation=0.2, or '
        'configs/new_slide.py, which calibrates itself.'
    )


def keep_all_cells(known: Facts) -> str:
    """All training cells, where undersampling left few."""
    if verdict_findings.undersampling(known) is None:
        return ''
    return 'Train on all cells: --config.data.equalize=oversample.'


STEPS: tuple[Step, ...] = (  # the most useful first
    own_cells, name_slides, split_by_slide, test_every_slide, recipe, more_slides, look_at_slides, calibrate,
    keep_all_cells,
)  # fmt: skip


def next_steps(known: Facts) -> list[Sentence]:
    """All advice that the numbers ask for."""
    return [Sentence(step.__name__.replace('_', ' '), text, 'next') for step in STEPS if (text := step(known))]
