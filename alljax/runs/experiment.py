"""One run, start to finish: load, divide, fit, score, report."""

import logging
from pathlib import Path

import alljax
from alljax.config.fields import later_fields
from alljax.config.plan import Plan
from alljax.data import datasets
from alljax.data.cells import Cells
from alljax.data.protocol import divide
from alljax.data.split import Split
from alljax.runs import data_check, kinds, network, preparation, results
from alljax.runs.results import TestOutput
from alljax.storage import cache, model_folder, run_folder
from alljax.storage.card import Scores
from alljax.training import metrics_log

log = logging.getLogger(__name__)
DEMO = (
    'DEMO on synthetic cells: the numbers of this run say nothing about leukaemia. '
    'Name your ALL-IDB2 with --config.data.root=DIR or $ALLJAX_DATA.'
)


def run(plan: Plan, folder: Path, fingerprint: str = '') -> Path:
    """Trains and evaluates what the plan says, or goes on with it, and returns the run folder.

    The cells are known by their fingerprint, not by their folder. UserError if it is not the one that is asked for.
    """
    cache.keep_compiled_programs()
    with run_folder.opened(folder, dict(plan.fields), later_fields()):
        if plan.demo:
            log.warning(DEMO)
        sources = datasets.load(plan.data, plan.seed)
        if fingerprint:
            data_check.same_data(fingerprint, sources, folder)
        cells, parts = divide(sources, plan.split, plan.augmentation, plan.seed)
        log.info('%d cells of %d groups, %d copies: %d train, %d validate, %d test; in %s', len(sources),
                 len(cells.group_names), len(cells) - len(sources), len(parts.train), len(parts.validation),
                 len(parts.test), folder)  # fmt: skip
        plan = plan._replace(preparation=preparation.with_target(plan.preparation, sources, parts))
        cells = preparation.of_cells(cells, plan.preparation)
        plan = network.cut_batch_size(plan, cells, parts)
        kind = kinds.of_plan(plan)
        if run_folder.is_finished(folder):
            log.info('this run is finished: evaluating it again')
            trained = kind.load(folder)
        else:
            trained = kind.fit(plan, cells, parts, folder)
        report(plan, sources, cells, parts, folder, kind.score(trained, plan, cells, parts, folder))
        run_folder.set_data_root(folder, plan.fields['data.root'])
    return folder


def report(plan: Plan, sources: Cells, cells: Cells, parts: Split, folder: Path, output: TestOutput) -> None:
    """Scores the test side and writes all that the run folder shows."""
    test = cells.take(parts.test)
    scores = results.score(test, output.logits)
    whole = {
        'alljax': alljax.__version__,
        'command': results.command(),
        'demo': plan.demo,
        'data': {**results.about_data(sources), **preparation.about(plan.preparation)},
        'split': {**results.about_split(cells, parts), 'copies': len(cells) - len(sources)},
        'test': scores,
        **output.found,
        'seed': plan.seed,
        'environment': results.environment(),
    }
    low, high = scores['accuracy_ci95']['wilson']
    model_folder.add_scores(
        folder / 'model', Scores(scores['accuracy'], low, high, len(test), parts.protocol, parts.leaky)
    )
    results.check_history(folder)
    history = [row for row in metrics_log.read(folder / 'metrics.jsonl') if 'epoch' in row]
    results.write(folder, whole, test, output, history)
    marks = ', '.join(results.marks(whole))
    log.info('test accuracy %.1f %% (95 %% interval %.1f to %.1f) on %d cells%s', 100 * scores['accuracy'], 100 * low,
             100 * high, len(test), f' [{marks}]' if marks else '')  # fmt: skip
    log.info('see %s', folder / 'report.html')
