"""One run, start to finish: load, divide, fit, score, report."""

import logging
import time
from pathlib import Path

import alljax
from alljax.config.fields import later_fields
from alljax.config.plan import Plan
from alljax.runs import (
    calibration,
    data_check,
    external,
    initial_variables,
    kinds,
    likeness,
    network,
    preparation,
    results,
    run_cells,
    speeds,
)
from alljax.runs.results import Results, TestOutput
from alljax.runs.run_cells import RunCells
from alljax.storage import cache, model_folder, progress_bar, run_folder
from alljax.storage.card import Scores
from alljax.training import metrics_log
from alljax.weights import training_sets

log = logging.getLogger(__name__)
DEMO = (
    'DEMO on synthetic cells: the numbers of this run say nothing about leukaemia. '
    'Name your ALL-IDB2 with --config.data.root=DIR or $ALLJAX_DATA.'
)


def run(plan: Plan, folder: Path, fingerprint: str = '') -> Path:
    """Trains and evaluates what the plan says, or goes on with it, and returns the run folder.

    The cells are known by their fingerprint, not by their folder. UserError if it is not the one that is asked for.
    """
    began = time.monotonic()
    cache.keep_compiled_programs()
    with run_folder.opened(folder, dict(plan.fields), later_fields()):
        if plan.demo:
            log.warning(DEMO)
        found = run_cells.load(plan)
        sources, cells, parts, _ = found
        if fingerprint:
            data_check.same_data(fingerprint, sources, folder)
        test = external.prepared(plan.external, found)
        training = network.training_words(plan, cells, parts, len(sources))
        log.info('%d cells of %d groups: %s, train; %d validate, %d are tested; in %s', len(sources),
                 len(cells.group_names), training, len(parts.validation), len(parts.test), folder)  # fmt: skip
        plan = plan._replace(preparation=preparation.with_target(plan.preparation, sources, parts))
        cells = preparation.of_cells(cells, plan.preparation)
        found = found._replace(cells=cells)
        plan = network.cut_batch_size(plan, cells, parts)
        kind = kinds.of_plan(plan)
        likeness.check(plan, found)
        new = not run_folder.is_finished(folder) and not (folder / 'checkpoints').exists()
        if run_folder.is_finished(folder):
            log.info('this run is finished: evaluating it again')
            trained = kind.load(folder)
        else:
            trained = kind.fit(plan, cells, parts, folder)
            trained = calibration.kept(kind, trained, plan, found, folder)
        with progress_bar.shown('testing'):
            output = kind.score(trained, plan, cells, parts, folder)
        output = calibration.of_test(output, trained.card, cells.take(parts.test))
        output.found.update(likeness.of_test(kind, trained, folder, cells.take(parts.test), plan.batch_size))
        tests = external.earlier_tests(folder)
        if test:
            tests = external.written(test, kind, trained, folder, tests)
        with progress_bar.shown('writing the report'):
            report(plan, found, folder, output, tests)
        if new:
            speeds.note(plan, trained, output.found, time.monotonic() - began)
        run_folder.set_data_root(folder, plan.fields['data.root'])
    return folder


def report(plan: Plan, found: RunCells, folder: Path, output: TestOutput, tests: list[Results]) -> None:
    """Scores the test side and writes all that the run folder shows; `tests` are the external ones."""
    sources, cells, parts, _ = found
    test = cells.take(parts.test)
    scores = results.score(test, output.logits)
    whole = {
        'alljax': alljax.__version__,
        'command': results.command(),
        'demo': plan.demo,
        'data': {**results.about_data(sources), **preparation.about(plan.preparation)},
        'split': {
            **results.about_split(cells, parts),
            'copies': found.copies,
            'train_copies': found.training_copies,
        },
        'test': scores,
        **output.found,
        'seed': plan.seed,
        'environment': results.environment(),
    }
    if sets := whole['model'].get('trained_on'):
        named = initial_variables.source_name(plan, sources.origin)
        whole['pretraining'] = training_sets.overlap(sets, named)._asdict()
    low, high = scores['accuracy_ci95']['wilson']
    model_folder.add_scores(
        folder / 'model', Scores(scores['accuracy'], low, high, len(test), parts.protocol, parts.leaky)
    )
    results.check_history(folder)
    history = [row for row in metrics_log.read(folder / 'metrics.jsonl') if 'epoch' in row]
    results.write(folder, results.with_externals(whole, tests), test, output, history)
    marks = ', '.join(results.marks(whole))
    log.info('test accuracy %.1f %% (95 %% interval %.1f to %.1f) on %d cells%s', 100 * scores['accuracy'], 100 * low,
             100 * high, len(test), f' [{marks}]' if marks else '')  # fmt: skip
    log.info('see %s', folder / 'report.html')
