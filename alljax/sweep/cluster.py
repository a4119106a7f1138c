"""The runs of a sweep as jobs of Slurm, or as processes of this machine: their options, and how submitit gets them."""

import importlib
import importlib.util
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import alljax
from alljax.config.plan import Plan
from alljax.errors import UserError
from alljax.storage.atomic import write_json
from alljax.storage.log import set_up_logging
from alljax.storage.run_folder import is_finished
from alljax.sweep import execution

log = logging.getLogger(__name__)

LOCAL, SLURM = 'local', 'slurm'
ERROR = 'error'
OURS = frozenset({'array', 'error', 'open-mode', 'output', 'signal', 'wrap'})  # options of sbatch that submitit sets
TIME = re.compile(r'(?:(?P<days>\d+)-(?P<of_day>\d+)|(?P<first>\d+))(?::(?P<second>\d+))?(?::(?P<third>\d+))?')
OPTION = re.compile(r'[a-z][a-z-]*')
FOLDER = 'submitit'  # below that of the sweep: jobs and their logs
MOST_REQUEUES = 20  # of a job that meets its time limit, each of which goes on from the last save
LONGEST_ARRAY = 1000  # jobs; Slurm's default limit is 1001
FOR_EVER = 60 * 24 * 3650  # minutes; a process of this machine has no time limit


ABSENT = "--executor needs submitit, which is not installed; install it by: pip install 'alljax[cluster]'"


class Cluster(NamedTuple):
    """The place where the runs of a sweep are done."""

    executor: str  # LOCAL or SLURM
    options: Mapping[str, str] = MappingProxyType({})  # of sbatch, by their long names: 'time' → '2:00:00'
    at_a_time: int = 0  # runs; 0 for as many as there is place for
    resubmit: bool = False  # runs whose job failed


class Job(NamedTuple):
    """One run, as submitit calls it in a job, and again after the job was preempted or has met its time limit."""

    config_file: str  # that may add networks, data sets and systems
    plan: Plan
    place: Path  # the run folder
    environment: Mapping[str, str]  # variables of the command that submitit changes

    def __call__(self) -> None:
        """Does the run, or goes on with it; if it fails the reason is kept, and the job ends with exit code 1."""
        os.environ.update(self.environment)
        set_up_logging()
        reason = reason_file(library().JobEnvironment().paths)
        reason.unlink(missing_ok=True)  # of an earlier start of this job
        if is_finished(self.place):
            return
        if error := execution.run_one(self.config_file, self.plan, self.place):
            log.error(error)
            write_json(reason, {ERROR: error})
            sys.exit(1)

    def checkpoint(self) -> Any:
        """The call that is to follow when the job ends early: the same, for the run folder holds what was saved."""
        return library().helpers.DelayedSubmission(self)


def library() -> Any:
    """The package submitit, which leaves the log as it is; UserError if it is not installed."""
    os.environ.setdefault('SUBMITIT_LOG_LEVEL', 'NOCONFIG')  # else it closes all handlers, when it is imported
    try:
        return importlib.import_module('submitit')
    except ModuleNotFoundError:
        raise UserError(ABSENT) from None


def reason_file(paths: Any) -> Path:
    """The file in which a job whose run fails says why; `paths` are submitit's of the job."""
    return paths.folder / f'{paths.job_id}_{ERROR}.json'


def check(cluster: Cluster) -> None:
    """UserError for whatever keeps jobs from being submitted here, and for options that cannot be."""
    problems = [] if importlib.util.find_spec('submitit') else [ABSENT]
    if cluster.options and cluster.executor != SLURM:
        problems.append(f'--slurm.{next(iter(cluster.options))}: goes with --executor=slurm; leave it out, or add that')
    if cluster.executor == SLURM and not shutil.which('sbatch'):
        problems.append(
            '--executor=slurm: there is no sbatch on this machine; give the command on one from which jobs are '
            'submitted, or --executor=local for processes of this one'
        )
    problems += [
        f'--slurm.{name}: is set for each job already; leave it out'
        if name in OURS
        else f'--slurm.{name}: is no option of sbatch; write their long names, such as --slurm.cpus-per-task=4'
        for name in cluster.options
        if name in OURS or not OPTION.fullmatch(name)
    ]
    if cluster.executor == SLURM and 'time' not in cluster.options:
        problems.append(
            '--executor=slurm needs --slurm.time, the time limit of one run, such as 2:00:00; a run that meets it is '
            'queued again and goes on from its last save'
        )
    for value in filter(None, [cluster.options.get('time')]):
        try:
            minutes(value)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(*problems)


def minutes(time: str) -> int:
    """The minutes of a time limit as Slurm writes it: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S; UserError for others."""
    found = TIME.fullmatch(time)
    if not found:
        raise UserError(
            f'--slurm.time is {time!r}; expected minutes, hours:minutes:seconds or days-hours, as 90, 1:30:00 or 2-0'
        )
    second, third = int(found['second'] or 0), int(found['third'] or 0)
    if found['days']:
        seconds = int(found['days']) * 86400 + int(found['of_day']) * 3600 + second * 60 + third
    elif found['third']:
        seconds = int(found['first']) * 3600 + second * 60 + third
    else:
        seconds = int(found['first']) * 60 + second
    if not seconds:
        raise UserError(f'--slurm.time is {time!r}; a run needs more than no time')
    return max(1, -(-seconds // 60))


def warn_of_own_disk(folder: Path) -> None:
    """Tells if a folder is in a place that most clusters have on each machine apart."""
    places = {tempfile.gettempdir(), '/tmp', '/dev/shm', os.environ.get('SLURM_TMPDIR', '')} - {''}
    for place in sorted(places):
        if folder.absolute().is_relative_to(place):
            log.warning('%s is in %s, which on most clusters each machine has for itself; if the jobs cannot write '
                        'there, name a --workdir on a disk that all machines share', folder, place)  # fmt: skip
            return


def submit(cluster: Cluster, folder: Path, jobs: Sequence[Job], name: str) -> list[tuple[str, Any]]:
    """The id of each job in the same order, and what submitit knows of it; their logs will be in `folder`.

    UserError if sbatch refuses them.
    """
    utils = library().core.utils
    # A job starts in the same folder, but not by the same script: it would not find a package that is not installed.
    paths = [str(Path(alljax.__file__).parents[1]), *filter(None, [os.environ.get('PYTHONPATH')])]
    with utils.environment_variables(PYTHONPATH=os.pathsep.join(paths)):
        try:
            found = _executor(cluster, folder, name).submit_array(jobs)
        except utils.FailedJobError as error:
            said = str(error).strip() or 'it did not say why'
            raise UserError(f'sbatch refuses the jobs: {said}; change the --slurm options') from None
    return [(job.job_id, job) for job in found]


def _executor(cluster: Cluster, folder: Path, name: str) -> Any:
    submitit = library()
    if cluster.executor == LOCAL:
        executor = submitit.LocalExecutor(folder)
        executor.update_parameters(timeout_min=FOR_EVER, stderr_to_stdout=True)
        return executor
    executor = submitit.SlurmExecutor(folder, max_num_timeout=MOST_REQUEUES)
    cpus = cluster.options.get('cpus-per-task')  # which srun does not take from sbatch since Slurm 22.05
    executor.update_parameters(
        job_name=name,
        time=minutes(cluster.options['time']),
        stderr_to_stdout=True,
        array_parallelism=cluster.at_a_time or LONGEST_ARRAY,
        srun_args=[f'--cpus-per-task={cpus}'] if cpus else [],
        additional_parameters={'requeue': True, **cluster.options},
    )
    return executor


def environment(cluster: Cluster) -> dict[str, str]:
    """The variables that a job needs as they are in this process, or as they have to be for several at a time."""
    found = {}
    if cluster.executor == LOCAL:
        # submitit hides all GPUs from a process for which it was not told a number of them
        found['CUDA_VISIBLE_DEVICES'] = os.environ.get('CUDA_VISIBLE_DEVICES', _all_gpus())
        if cluster.at_a_time > 1:
            found['LOKY_MAX_CPU_COUNT'] = str(max(1, (os.cpu_count() or 1) // cluster.at_a_time))
            found['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'  # a GPU is shared
    return found


def _all_gpus() -> str:
    """The numbers of all GPUs of NVIDIA, as CUDA_VISIBLE_DEVICES has them."""
    places = Path('/proc/driver/nvidia/gpus')
    return ','.join(map(str, range(len([*places.iterdir()])))) if sys.platform == 'linux' and places.is_dir() else ''
