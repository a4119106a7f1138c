"""One run by several processes that train its network together: what they cannot do is refused before they meet."""

from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from alljax import config
from alljax.config import detector_fields, resolve
from alljax.data.split import LEAVE_ONE
from alljax.errors import UserError
from alljax.runs import experiment
from alljax.storage import joining, run_folder
from alljax.storage.joining import Team
from alljax.sweep import left_open
from alljax.sweep.variants import Sweep, load_sweep

INSTEAD = 'give it to one process'


def launch(
    values: ConfigDict,
    config_file: str,
    overrides: Mapping[str, str],
    folder: Path | None,
    team: Team,
    others: str = '',
) -> None:
    """Does the one run of a config with the other processes of a team that was checked.

    `others` names a further option of the command that has no meaning here. UserError with all that cannot be done
    so, before anything is built or waited for.
    """
    if detector_fields.is_asked(values):
        raise UserError(f'several processes train a network together, and a detector is trained by one; {INSTEAD}')
    config.check(values, data=False)
    problems = _problems(values, load_sweep(config_file, values, overrides))
    if others:
        problems.append(f'{others}: is for one process; leave it out, or the options of several processes')
    if folder is None:
        problems.append(
            '--workdir is missing: several processes need the same folder, on a disk that all hosts share; name it'
        )
    if problems or folder is None:
        raise UserError(*problems)
    with joining.joined(team):
        earlier = run_folder.earlier(folder)
        plan = resolve.resolve(left_open.found(values, overrides, earlier, {}), overrides, earlier)
        experiment.run(plan, folder)


def _problems(values: ConfigDict, sweep: Sweep) -> list[str]:
    split, found = values.split, []
    several = split.folds * split.repeats != 1 or split.protocol == LEAVE_ONE or split.final_model
    if sweep.declared:
        found.append(
            f'this config makes several runs ({sweep.title}), and several processes train one together; {INSTEAD}, or '
            'to --executor=slurm, which does each as a job'
        )
    elif several:
        found.append(
            'config.split asks for several runs (folds, repeats, leave_one_group_out or a final model), and several '
            f'processes train one together; {INSTEAD}, or to --executor=slurm, which does each as a job'
        )
    if values.ensemble.candidates:
        found.append(
            'config.ensemble.candidates: several processes train one network together, and an ensemble trains many; '
            f'{INSTEAD}'
        )
    if values.baseline.system:
        found.append(
            f'config.baseline.system={values.baseline.system}: several processes train a network together, and a '
            f'classical system has none; {INSTEAD}'
        )
    if values.gradients.every:
        found.append(
            f'config.gradients.every={values.gradients.every}: several processes take no look at the gradients; '
            f'set it to 0, or {INSTEAD}'
        )
    return found
