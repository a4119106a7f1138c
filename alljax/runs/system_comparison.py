"""A classical system on the cells of a finished run, or on a folder of cells, and how two runs compare."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.data.datasets import all_idb2
from alljax.errors import UserError
from alljax.evaluation import compare
from alljax.evaluation.formatting import percent
from alljax.runs import experiment, results
from alljax.storage import run_folder


def beside(system: str, run: Path, folder: Path | None = None) -> Path:
    """Runs the system on the cells, split and seed of a finished run, and returns its own run folder."""
    if not run_folder.is_finished(run):
        raise UserError(f'{run}: is not finished, so there is nothing to compare with; give its command again first')
    config = nested(run_folder.earlier(run))
    absent = sorted({*fields.CHOICES, *fields.BOUNDS} - {*fields.flat(config), *fields.OPTIONAL, 'baseline.system'})
    if absent:
        raise UserError(f'{run}: was made by an older release, without {", ".join(absent)}; give its command anew')
    config.baseline = ConfigDict({**_no_parts(), 'system': system})
    return experiment.run(config, system, fields.flat(config), folder or run.with_name(f'{run.name}-{system}'))


def on_folder(system: str, root: Path, config: ConfigDict, task: str | None = None, folder: Path | None = None) -> Path:
    """Trains and tests the system on a folder of cells by the settings of a config, and returns the run folder.

    Without a `task` it is that of the folder: of ALL-IDB2 by its subtypes.csv, else the class folders.
    """
    config.data.root, config.baseline.system = str(root), system
    try:
        home, _ = all_idb2.places(root)
        config.data.name = 'all_idb2'
        config.data.task = 'subtype' if (home / 'subtypes.csv').is_file() else 'detection'
    except (UserError, NotADirectoryError):
        config.data.name, config.data.task = 'folder', 'classes'
    given = {'data.root', 'data.name', 'data.task', 'baseline.system'}
    if task:
        config.data.task = task
    fields.check(config)
    return experiment.run(config, system, given, folder)


def compared(first: Path, second: Path) -> list[str]:
    """Two runs on the same test cells, in words; UserError if they are not the same."""
    names = [results.read(run)['model']['name'] for run in (first, second)]
    right = [results.right(run) for run in (first, second)]
    found = compare.mcnemar_by_file(*right)
    if found is None:
        raise UserError(f'{first} and {second}: were tested on other cells, so they cannot be compared')
    count = len(right[0])
    shares = [f'{name} {percent(sum(its.values()) / count, count)}' for name, its in zip(names, right, strict=True)]
    alone = [f'only {name} right: {its}' for name, its in zip(names, found[:2], strict=True)]
    return [f'{", ".join(shares)} of {count} cells', f'{", ".join(alone)}; McNemar p = {found.p:.2g}']


def nested(flat: dict[str, Any]) -> ConfigDict:
    """A config from the dotted fields of a run's config.json."""
    config = ConfigDict()
    for key, value in flat.items():
        *parents, name = key.split('.')
        place = config
        for parent in parents:
            if parent not in place:
                place[parent] = ConfigDict()
            place = place[parent]
        place[name] = _tuples(value)
    return config


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _no_parts() -> dict[str, None]:
    """Every part the system's own."""
    return {key.removeprefix('baseline.'): None for key in fields.OPTIONAL if key.startswith('baseline.')}
