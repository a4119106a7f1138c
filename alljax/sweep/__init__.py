"""Many runs of one config, and the table that compares them with each other and with a paper's numbers."""

import logging
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from alljax import config
from alljax.config import resolve
from alljax.config.fields import later_fields
from alljax.errors import printable
from alljax.runs import experiment
from alljax.storage import cache, run_folder
from alljax.sweep import execution, summary, time_estimate
from alljax.sweep.variants import PAPER_TASKS, Sweep, Variant, across, list_runs, load_sweep

__all__ = ['PAPER_TASKS', 'Sweep', 'Variant', 'across', 'launch']

log = logging.getLogger(__name__)


def launch(
    values: ConfigDict,
    config_file: str,
    overrides: Mapping[str, str],
    folder: Path | None = None,
    *,
    jobs: int = 1,
    dry_run: bool = False,
) -> bool:
    """Runs what a config file asks for: one run, or all variants, protocols and folds of its `sweep()`.

    False if a run of several failed. What is finished in `folder` is kept; `jobs` runs are done at a time. With
    `dry_run` only the plan and an estimate of its time are printed. UserError for whatever would stop a run, before
    the first begins.
    """
    config.check(values, data=False)
    sweep = load_sweep(config_file, values, overrides)
    runs = list_runs(sweep, values)
    if dry_run:
        cache.keep_compiled_programs()
        print(printable(time_estimate.describe(execution.prepare(runs, values, overrides, folder), folder)))
        return True
    if len(runs) == 1 and not sweep.declared:
        plan = resolve.resolve(values, overrides, run_folder.earlier(folder))
        experiment.run(plan, folder or run_folder.default(config_file, plan.data.name, plan.demo))
        return True
    data = config.data_options(values)
    folder = folder or run_folder.default(config_file, data.name, data.synthetic)
    with run_folder.opened(folder, config.flat(values), later_fields()):
        if data.synthetic:
            log.warning(experiment.DEMO)
        plans = [(one.run, one.plan) for one in execution.prepare(runs, values, overrides, folder)]  # not the images
        log.info('%d runs in %s', len(runs), folder)
        failed: dict[str, str] = {}
        try:
            execution.run_all(plans, config_file, folder, jobs, failed)
        finally:
            summary.write(folder, sweep, runs, failed)
    if (folder / 'table.html').is_file():
        log.info('see %s', folder / 'table.html')
    return not failed
