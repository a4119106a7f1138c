"""One run, start to finish: load, divide, fit, score, report."""

import logging
import time
from pathlib import Path

import jax

import alljax
from alljax.config.fields import later_fields
from alljax.config.plan import Plan
from alljax.data.split import GIVEN, LEAVE_ONE
from alljax.runs import (
    calibration,
    data_check,
    environment,
    external,
    heat_maps,
    initial_variables,
    kinds,
    likeness,
    network,
    preparation,
    results,
    run_cells,
    speeds,
    verdict_log,
)
from alljax.runs.kind import Kind, Trained
from alljax.runs.results import Results, TestOutput
from alljax.runs.run_cells import RunCells
from alljax.storage import cache, hosts, model_folder, progress_bar, run_folder
from alljax.storage.card import Card, Scores
from alljax.training import metrics_log
from alljax.weights import training_sets

log = logging.getLogger(__name__)
FINISHED = 'the run is finished'  # what the first of several processes tells the others
DEMO = (
    'DEMO on synthetic cells: the numbers of this run say nothing about leukemia. '
    'Name your ALL-IDB2 with --config.data.root=DIR or $ALLJAX_DATA.'
)


def run(plan: Plan, folder: Path, fingerprint: str = '', *, of_several: bool = False) -> Path:
    """Trains and evaluates what the plan says, or goes on with it, and returns the run folder.

    The cells are known by their fingerprint, not by their folder. UserError if it is not the one that is asked for.
    Where the run is one `of_several` on the same cells, whoever does these says what is odd about them, once.
    """
    began = time.monotonic()
    cache.keep_compiled_programs()
    hosts.agree('config', _agreed(plan))
    if not hosts.is_first():
        _take_part(plan, folder)
        return folder
    with run_folder.opened(folder, dict(plan.fields), later_fields()):
        run_folder.show_to_others(folder)
        if plan.demo:
            log.warning(DEMO)
        with hosts.in_turn('cells'):
            found = run_cells.load(plan)
        data_check.same_everywhere(found.cells)
        if not of_several:
            run_cells.warn_of_fields(found.sources)
        sources, cells, parts, _ = found
        if fingerprint:
            data_check.same_data(fingerprint, sources, folder)
        test = external.prepared(plan.external, found)
        training = network.training_words(plan, cells, parts, len(sources))
        log.info('%d cells of %d groups: %s, train; %d validate, %d are tested; in %s', len(sources),
                 len(cells.group_names), training, len(parts.validation), len(parts.test), folder)  # fmt: skip
        plan, found = prepared(plan, found)
        cells = found.cells
        kind = kinds.of_plan(plan)
        likeness.check(plan, found)
        new = not run_folder.is_finished(folder) and not (folder / 'checkpoints').exists()
        hosts.tell(FINISHED, str(run_folder.is_finished(folder)))
        if run_folder.is_finished(folder):
            log.info('this run is finished: evaluating it again')
            trained = kind.load(folder)
        else:
            trained = kind.fit(plan, cells, parts, folder)
            trained = calibration.kept(kind, trained, plan, found, folder)
        with progress_bar.shown('testing'):
            output = _tested(kind, trained, plan, found, folder)
        tests = external.earlier_tests(folder)
        if test:
            tests = external.written(test, kind, trained, folder, tests)
        if output:
            with progress_bar.shown('writing the report'):
                report(plan, found, folder, output, tests)
        else:
            record_untested(plan, found, folder, trained.card, tests)
        if new and output:
            speeds.note(plan, trained, output.found, time.monotonic() - began)
        run_folder.set_fields(folder, {run_folder.DATA_ROOT: plan.fields[run_folder.DATA_ROOT]})
    return folder


def _agreed(plan: Plan) -> dict[str, object]:
    """The facts that several processes must have in common before the first of them opens the run folder."""
    fields = {name: value for name, value in plan.fields.items() if name not in run_folder.MAY_CHANGE}
    own = {'devices of each process': jax.local_device_count()} if hosts.count() > 1 else {}
    return {**fields, **own, 'alljax': alljax.__version__, 'jax': jax.__version__}


def _take_part(plan: Plan, folder: Path) -> None:
    """The run in a process that is not the first of several: it trains, and leaves tests and records to that one."""
    run_folder.see_as_first(folder)
    with hosts.in_turn('cells'):
        found = run_cells.load(plan)
    data_check.same_everywhere(found.cells)
    plan, found = prepared(plan, found)
    if hosts.told(FINISHED) == str(False):
        network.take_part(plan, found.cells, found.parts, folder)


def prepared(plan: Plan, found: RunCells) -> tuple[Plan, RunCells]:
    """The plan with the stain target of its cells and a batch within an epoch, and the cells as it wants them."""
    plan = plan._replace(preparation=preparation.with_target(plan.preparation, found.sources, found.parts))
    found = found._replace(cells=preparation.of_cells(found.cells, plan.preparation))
    return network.cut_batch_size(plan, found.cells, found.parts), found


def _tested(kind: Kind, trained: Trained, plan: Plan, found: RunCells, folder: Path) -> TestOutput | None:
    """The output for the test cells; None where all cells train."""
    if plan.split.all_cells:
        return None
    cells, parts = found.cells, found.parts
    output = kind.score(trained, plan, cells, parts, folder)
    output = calibration.of_test(output, trained.card, cells.take(parts.test))
    output.found.update(likeness.of_test(kind, trained, folder, cells.take(parts.test), plan.batch_size))
    if not plan.heat_maps:
        return heat_maps.without(output, heat_maps.OFF)
    return heat_maps.of_test(trained, output, cells.take(parts.test))


def record_untested(plan: Plan, found: RunCells, folder: Path, card: Card, tests: list[Results]) -> None:
    """Writes the results.json of a run that tests no cell: no score, and neither predictions nor a report."""
    whole = {**_about(plan, found, {'n': 0}), 'model': dict(card.model), 'train': dict(card.train), **_at_end(plan)}
    results.write_results(folder, results.with_externals(whole, tests))
    log.info('all %d cells have trained and none was tested: no accuracy is known; see %s', len(found.sources),
             folder / 'model')  # fmt: skip


def _about(plan: Plan, found: RunCells, scores: Results) -> Results:
    """The first parts of results.json, with the scores of the test cells."""
    sources, cells, parts, _ = found
    return {
        'alljax': alljax.__version__,
        'command': environment.command(),
        'demo': plan.demo,
        'data': {**results.about_data(sources), **preparation.about(plan.preparation)},
        'split': {
            **results.about_split(cells, parts),
            'copies': found.copies,
            'train_copies': found.training_copies,
        },
        'test': scores,
    }


def _at_end(plan: Plan) -> Results:
    return {'seed': plan.seed, 'environment': environment.about()}


def report(plan: Plan, found: RunCells, folder: Path, output: TestOutput, tests: list[Results]) -> None:
    """Scores the test side and writes all that the run folder shows; `tests` are the external ones."""
    sources, cells, parts, _ = found
    test = cells.take(parts.test)
    scores = results.score(test, output.logits)
    whole = {**_about(plan, found, scores), **output.found, **_at_end(plan)}
    if weights := initial_variables.published_weights(plan):
        whole['weights'] = weights
    if sets := whole['model'].get('trained_on'):
        named = initial_variables.source_name(plan, sources.origin)
        whole['pretraining'] = training_sets.overlap(sets, named)._asdict()
    folds = {LEAVE_ONE: whole['data']['groups'], GIVEN: 1}.get(parts.protocol, plan.split.folds)
    whole['split'] |= {'folds': folds, 'fold': plan.split.fold} if folds > 1 else {}
    whole['train'] = {**whole['train'], 'equalize': equalize(plan)}
    low, high = scores['accuracy_ci95']['wilson']
    model_folder.add_scores(
        folder / 'model', Scores(scores['accuracy'], low, high, len(test), parts.protocol, parts.leaky)
    )
    results.check_history(folder)
    history = [row for row in metrics_log.read(folder / 'metrics.jsonl') if 'epoch' in row]
    results.write(folder, results.with_externals(whole, tests), test, output, history)
    verdict_log.write(folder)


def equalize(plan: Plan) -> str:
    """The way in which classes are made equal in training; of an ensemble that of its candidates."""
    ways = dict.fromkeys(one.plan.training.equalize for one in plan.candidates) or [plan.training.equalize]
    return ', '.join(ways)
