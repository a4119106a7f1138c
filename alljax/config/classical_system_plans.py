"""Plans of a classical system: on the cells of a finished run, or on a folder of cells."""

from pathlib import Path

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.config import classical_system_fields, resolve
from alljax.config.plan import Plan
from alljax.data import datasets
from alljax.errors import UserError
from alljax.storage import run_folder


def beside(system: str, run: Path, folder: Path, data: Path | None = None) -> Plan:
    """The plan of a system in `folder` on the cells, split and seed of a finished run; UserError if it is not.

    `data` is the folder of the cells, if they were moved.
    """
    if not run_folder.is_finished(run):
        raise UserError(f'{run}: is not finished, so there is nothing to compare with; give its command again first')
    config = _with_system(system, resolve.config_of_run(run, data))
    return resolve.resolve(config, fields.flat(config), run_folder.earlier(folder))


def folds_beside(system: str, cross_validation: Path, data: Path | None = None) -> ConfigDict:
    """The config of a system on the folds of a finished cross-validation; UserError if one of them is not finished.

    `data` is that of `beside`.
    """
    whole = run_folder.earlier(cross_validation)
    first = run_folder.runs_below(cross_validation)[0]  # whose `when` table was applied
    config = _with_system(system, resolve.config_of_run(first, data))
    return fields.with_fields(config, {name: whole[name] for name in ('split.fold', 'split.repeat')})


def _with_system(system: str, config: ConfigDict) -> ConfigDict:
    config = classical_system_fields.without_levers(config)
    config.baseline = ConfigDict({**dict.fromkeys(config.baseline), 'system': system})
    return config


def on_folder(system: str, root: Path, config: ConfigDict, task: str | None = None, folder: Path | None = None) -> Plan:
    """The plan of a system on a folder of cells, by the settings of a config; `folder` is that of the run, if named.

    Without a `task` it is the one that the data set finds in the folder.
    """
    config.data.root, config.baseline.system = str(root), system
    config.data.name, config.data.task = datasets.recognized(root)
    given = {'data.root', 'data.name', 'data.task', 'baseline.system'}
    if task:
        config.data.task = task
    return resolve.resolve(config, given, run_folder.earlier(folder))
