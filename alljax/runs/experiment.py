"""One run, start to finish: load, divide, fit, score, report."""

import logging
from pathlib import Path

import alljax
from alljax.config.fields import later_fields
from alljax.config.plan import Plan
from alljax.data.split import LEAVE_ONE
from alljax.evaluation import verdict
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
)
from alljax.runs.results import Results, TestOutput
from alljax.runs.run_cells import RunCells
from alljax.storage import cache, model_folder, run_folder
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
    cache.keep_compiled_programs()
    with run_folder.opened(folder, dict(plan.fields), later_fields()):
        if plan.demo:
            log.warning(DEMO)
        found = run_cells.load(plan)
        sources, cells, parts, _ = found
        if fingerprint:
            data_check.same_data(fingerprint, sources, folder)
        test = external.prepared(plan.external, found)
        log.info('%d cells of %d groups, %d copies: %d train, %d validate, %d test; in %s', len(sources),
                 len(cells.group_names), found.copies, len(parts.train), len(parts.validation),
                 len(parts.test), folder)  # fmt: skip
        plan = plan._replace(preparation=preparation.with_target(plan.preparation, sources, parts))
        cells = preparation.of_cells(cells, plan.preparation)
        found = found._replace(cells=cells)
        plan = network.cut_batch_size(plan, cells, parts)
        kind = kinds.of_plan(plan)
        likeness.check(plan, found)
        if run_folder.is_finished(folder):
            log.info('this run is finished: evaluating it again')
            trained = kind.load(folder)
        else:
            trained = kind.fit(plan, cells, parts, folder)
            trained = calibration.kept(kind, trained, plan, found, folder)
        output = kind.score(trained, plan, cells, parts, folder)
        output = calibration.of_test(output, trained.card, cells.take(parts.test))
        output.found.update(likeness.of_test(kind, trained, folder, cells.take(parts.test), plan.batch_size))
        tests = external.earlier_tests(folder)
        if test:
            tests = external.written(test, kind, trained, folder, tests)
        report(plan, found, folder, output, tests)
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
        'split': {**results.about_split(cells, parts), 'copies': found.copies},
        'test': scores,
        **output.found,
        'seed': plan.seed,
        'environment': results.environment(),
    }
    if weights := initial_variables.published_weights(plan):
        whole['weights'] = weights
    if sets := whole['model'].get('trained_on'):
        named = initial_variables.source_name(plan, sources.origin)
        whole['pretraining'] = training_sets.overlap(sets, named)._asdict()
    folds = whole['data']['groups'] if parts.protocol == LEAVE_ONE else plan.split.folds
    whole['split'] |= {'folds': folds, 'fold': plan.split.fold} if folds > 1 else {}
    whole['train'] = {**whole['train'], 'equalize': equalize(plan)}
    low, high = scores['accuracy_ci95']['wilson']
    model_folder.add_scores(
        folder / 'model', Scores(scores['accuracy'], low, high, len(test), parts.protocol, parts.leaky)
    )
    results.check_history(folder)
    history = [row for row in metrics_log.read(folder / 'metrics.jsonl') if 'epoch' in row]
    results.write(folder, results.with_externals(whole, tests), test, output, history)
    log_verdict(folder)
    log.info('see %s', folder / 'report.html')


def log_verdict(folder: Path) -> None:
    """Says in a few sentences what a finished run, or cross-validation, found, and what to do next."""
    found = results.read(folder)
    marks = ', '.join(results.marks(found))
    first, *further = verdict.lines(verdict.sentences(found, results.predictions(folder)))
    log.info('%s%s', first, f' [{marks}]' if marks else '')
    for line in further:
        log.info('%s', line)


def equalize(plan: Plan) -> str:
    """The way in which classes are made equal in training; of an ensemble that of its candidates."""
    ways = dict.fromkeys(one.plan.training.equalize for one in plan.candidates) or [plan.training.equalize]
    return ', '.join(ways)
