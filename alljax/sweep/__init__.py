"""Many runs of one config, and the table that compares them with each other and with a paper's numbers."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from alljax import config
from alljax.config import classical_system_plans, detector_fields, resolve
from alljax.config.fields import later_fields
from alljax.config.plan import CalibrationOptions
from alljax.errors import UserError, printable
from alljax.runs import experiment
from alljax.storage import cache, run_folder, speed_record
from alljax.sweep import cluster as clusters
from alljax.sweep import execution, left_open, progress, time_estimate
from alljax.sweep import jobs as submitted
from alljax.sweep.cluster import Cluster
from alljax.sweep.execution import Loaded
from alljax.sweep.over_hosts import launch as launch_over_hosts
from alljax.sweep.progress import Bar
from alljax.sweep.variants import (
    OF_FINAL_MODEL,
    PAPER_TASKS,
    Run,
    Sweep,
    Variant,
    across,
    list_runs,
    load_sweep,
)

__all__ = ['PAPER_TASKS', 'Cluster', 'Sweep', 'Variant', 'across', 'beside', 'launch', 'launch_over_hosts']

log = logging.getLogger(__name__)

ONE_RUN = (
    '--executor={}: is for several runs, as a sweep or the folds of --config.split.folds=5 make them, and this config '
    'makes one; leave it out'
)


class Runs(NamedTuple):
    """Several runs of one config that are to be done."""

    sweep: Sweep
    runs: Sequence[Run]
    values: ConfigDict
    given: Collection[str]  # the fields that the user set
    config_file: str = ''  # that may add networks, data sets and systems
    jobs: int = 1  # runs at a time
    cluster: Cluster | None = None  # where they are done, if not below this process
    together: bool = False  # heads on frozen features are trained in one program


def launch(
    values: ConfigDict,
    config_file: str,
    overrides: Mapping[str, str],
    folder: Path | None = None,
    *,
    jobs: int = 1,
    dry_run: bool = False,
    cluster: Cluster | None = None,
    together: bool = False,
) -> bool:
    """Runs what a config file asks for: one run, or all variants, protocols and folds of its `sweep()`.

    False if a run of several failed. What is finished in `folder` is kept; `jobs` runs are done at a time. With
    `dry_run` only the plan and an estimate of its time are printed. With a `cluster` several runs are submitted as
    jobs, unless they were before, and what they have found by now is gathered. With `together` heads on frozen features
    are trained in one program, where that comes to the same. UserError for whatever would stop a run, before the first
    begins.
    """
    if cluster:
        clusters.check(cluster)
    if detector_fields.is_asked(values):
        if cluster:
            raise UserError(ONE_RUN.format(cluster.executor))
        return _detector(values, config_file, folder, dry_run=dry_run)
    began = time.monotonic()
    config.check(values, data=False)
    loaded: Loaded = {}
    with ExitStack() as stack:
        bar = (
            None
            if dry_run or cluster
            else stack.enter_context(progress.shown(jobs, time_estimate.rough(values, config_file)))
        )
        values = left_open.found(values, overrides, run_folder.earlier(folder), loaded)
        sweep = load_sweep(config_file, values, overrides)
        runs = list_runs(sweep, values, partial(execution.number_of_groups, overrides=overrides))
        if not dry_run and (len(runs) > 1 or sweep.declared):
            data = config.data_options(values)
            folder = folder or run_folder.default(config_file, data.name, data.synthetic)
            new = not folder.exists()
            good = _run_all(
                Runs(sweep, runs, values, overrides, config_file, jobs, cluster, together), folder, loaded, bar
            )
            if new and good and not (sweep.declared or cluster):
                speed_record.add_whole(config_file, data.root, time.monotonic() - began)
            return good
    if cluster and not dry_run:
        raise UserError(ONE_RUN.format(cluster.executor))
    if dry_run:
        cache.keep_compiled_programs()
        prepared = execution.prepare(runs, values, overrides, folder, loaded)
        print(printable(time_estimate.describe(prepared, folder)))
        return True
    plan = resolve.resolve(values, overrides, run_folder.earlier(folder))
    experiment.run(plan, folder or run_folder.default(config_file, plan.data.name, plan.demo))
    return True


def _detector(values: ConfigDict, config_file: str, folder: Path | None, *, dry_run: bool) -> bool:
    """Trains a detector on whole fields; a dry run shows what it would learn from, and its config."""
    from alljax.runs import detector_data, detector_run  # here: the start of every other run would wait for them

    plan = detector_fields.resolve(values)
    if dry_run:
        print(printable('\n'.join(detector_data.planned(plan))))
        return True
    detector_run.run(plan, folder or run_folder.default(config_file, plan.root.name, demo=False))
    return True


def beside(system: str, cross_validation: Path, folder: Path, data: Path | None = None) -> bool:
    """Does a classical system on the folds of a finished cross-validation, as one of its own in `folder`.

    `data` is the folder of the cells, if they were moved. False if a fold failed.
    """
    values = classical_system_plans.folds_beside(system, cross_validation, data)
    sweep = Sweep(system, (Variant(system, {}),), (values.split.protocol,), declared=False)
    given = config.flat(values)
    runs = list_runs(sweep, values, partial(execution.number_of_groups, overrides=given))
    return _run_all(Runs(sweep, runs, values, given), folder, {}, None)


def _run_all(asked: Runs, folder: Path, loaded: Loaded, bar: Bar | None) -> bool:
    """Does several runs in a folder, and summarizes them; False if one failed. `loaded` are cells that were read."""
    from alljax.sweep import cross_validation, summary  # here, for they draw, and one run alone starts sooner without

    sweep, runs, values = asked[:3]
    fields = config.flat(values)
    data = config.data_options(values)
    if data.root:  # config.json is read from other folders later
        fields[run_folder.DATA_ROOT] = data.root
    added = OF_FINAL_MODEL if values.split.final_model else ()
    with run_folder.opened(folder, fields, later_fields(), (*run_folder.MAY_CHANGE, *added)):
        if data.synthetic:
            log.warning(experiment.DEMO)
        prepared = execution.prepare(runs, values, asked.given, folder, loaded)
        if bar:
            bar.planned(time_estimate.works(prepared))
        plans = [(one.run, one.plan) for one in prepared]
        del prepared  # the images
        loaded.clear()
        run_folder.set_fields(folder, {name: fields[name] for name in (run_folder.DATA_ROOT, *added)})
        log.info('%d runs in %s', len(runs), folder)
        failed: dict[str, str] = {}
        folds = [run for run in runs if not run.final]
        cross_validation.forget_unfinished(folder, folds)
        try:
            if asked.cluster:
                submitted.run_all(plans, asked.config_file, folder, failed, asked.cluster)
            else:
                submitted.check_none_elsewhere(plans, folder)
                execution.run_all(plans, asked.config_file, folder, asked.jobs, failed, bar, together=asked.together)
        finally:
            if bar:
                bar.heard(progress.PAGE)
            summary.write(folder, sweep, folds, failed)
        if not sweep.declared:
            cross_validation.write(folder, plans, CalibrationOptions(**values.calibration))
    if sweep.declared and (folder / 'table.html').is_file():  # a cross-validation says where its report is
        log.info('see %s', folder / 'table.html')
    return not failed
