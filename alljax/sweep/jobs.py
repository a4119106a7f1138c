"""The jobs of a sweep that were submitted: which there are, how far they are, and what the failed ones say."""

import logging
import os
import subprocess
import time
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from alljax.config.plan import Plan
from alljax.errors import UserError, some
from alljax.storage.atomic import write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import read_object
from alljax.storage.run_folder import is_finished
from alljax.sweep import cluster
from alljax.sweep.cluster import ERROR, FOLDER, LOCAL, LONGEST_ARRAY, SLURM, Cluster, Job, reason_file
from alljax.sweep.variants import Run

log = logging.getLogger(__name__)

RECORD = Path(FOLDER, 'jobs.json')
# States of Slurm in which a job has ended; in all others it waits or runs, perhaps for the second time.
ENDED = frozenset({'BOOT_FAIL', 'CANCELLED', 'COMPLETED', 'DEADLINE', 'FAILED', 'NODE_FAIL', 'OUT_OF_MEMORY',
                   'PREEMPTED', 'TIMEOUT'})  # fmt: skip
WAITING = frozenset(
    {'CONFIGURING', 'PENDING', 'REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'RESV_DEL_HOLD', 'SPECIAL_EXIT'}
)
REMEDIES = {
    'OUT_OF_MEMORY': 'give it more memory, as by --slurm.mem=16G',
    'TIMEOUT': 'give it more time by --slurm.time',
}
LAST_LINES = 5
LATE = 120.0  # seconds that a file may take from one machine to another
TICK = 1.0  # seconds from one look at the processes of this machine to the next


class Submitted(NamedTuple):
    """The job of a run."""

    executor: str
    job: str  # its id: Slurm's, or that of a process


class Status(NamedTuple):
    """The state of a run."""

    word: str  # 'new', 'waiting', 'running', 'failed' or 'finished'
    error: str = ''  # why it failed
    log: Path | None = None  # of its job


def run_all(
    runs: Sequence[tuple[Run, Plan]],
    config_file: str,
    folder: Path,
    failed: MutableMapping[str, str],
    how: Cluster,
) -> None:
    """Submits what was not submitted before, says how far all is, and adds each run that failed to `failed`.

    Returns at once from a cluster, whose jobs go on; the processes of this machine are waited for.
    """
    record = read(folder)
    record = {run: its for run, its in record.items() if not _stopped_with_its_command(folder, its)}
    children: list[Any] = []  # whose end only their parent hears
    told: dict[str, int] = {}
    again = {run for run, one in _look(runs, folder, record).items() if one.word == 'failed' and how.resubmit}
    while True:
        for child in children:
            child.done()
        states = _look(runs, folder, {run: its for run, its in record.items() if run not in again})
        new = [(run, plan) for run, plan in runs if states[run.folder].word == 'new']
        busy = sum(one.word in ('waiting', 'running') for one in states.values())
        place = max(1, how.at_a_time) - busy if how.executor == LOCAL else len(new)
        for some_runs in _chunks(new[: max(0, place)], LONGEST_ARRAY):
            submitted = _submit(how, config_file, folder, some_runs)
            for (run, _), (job, child) in zip(some_runs, submitted, strict=True):
                record[run.folder] = Submitted(how.executor, job)
                again.discard(run.folder)
                states[run.folder] = Status('waiting')
                children.append(child)
            write_json(folder / RECORD, {name: its._asdict() for name, its in record.items()})
        counts = {word: sum(one.word == word for one in states.values()) for word in ('finished', 'failed', 'running')}
        counts['waiting'] = len(states) - sum(counts.values())
        if counts != told:
            log.info('%d runs: %s', len(runs), ', '.join(f'{count} {word}' for word, count in counts.items()))
            told = counts
        if how.executor == SLURM or not counts['running'] + counts['waiting']:
            break
        time.sleep(TICK)
    _tell(runs, folder, states, failed)


def check_none_elsewhere(runs: Sequence[tuple[Run, Plan]], folder: Path) -> None:
    """UserError if runs that are to be done in this process are those of jobs that wait or run."""
    record = read(folder)
    busy = [str(run) for run, _ in runs if run.folder in record and not is_finished(folder / run.folder)]
    busy = busy if any(one.word in ('waiting', 'running') for one in _look(runs, folder, record).values()) else []
    if busy:
        names = sorted({its.executor for its in record.values()})
        raise UserError(
            f'--workdir={folder}: {some(busy, 4)} were submitted as jobs, which are not at their end; add '
            f'--executor={names[0]} to the command, which says how far they are'
        )


def read(folder: Path) -> dict[str, Submitted]:
    """The job of each run that was submitted, by the run's folder; UserError for a damaged record."""
    if not (folder / RECORD).exists():
        return {}
    try:
        return {run: Submitted(its['executor'], its['job']) for run, its in read_object(folder / RECORD).items()}
    except (Damaged, KeyError, TypeError) as error:
        raise UserError(
            f'{folder / RECORD}: cannot be read ({error}), so it is not known which runs were submitted; see that no '
            'job is left (squeue --me), delete the file, and give the same command again'
        ) from None


def _submit(how: Cluster, config_file: str, folder: Path, runs: Sequence[tuple[Run, Plan]]) -> list[tuple[str, Any]]:
    if how.executor == SLURM:
        cluster.warn_of_own_disk(folder)
    variables = cluster.environment(how)
    jobs = [Job(config_file, plan, (folder / run.folder).absolute(), variables) for run, plan in runs]
    found = cluster.submit(how, (folder / FOLDER).absolute(), jobs, f'alljax-{folder.name}')
    if how.executor == SLURM:
        log.info('submitted %d runs to Slurm, as job %s; the same command says how far they are',
                 len(runs), found[0][0].partition('_')[0])  # fmt: skip
    return found


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _look(runs: Sequence[tuple[Run, Plan]], folder: Path, record: MutableMapping[str, Submitted]) -> dict[str, Status]:
    """The state of each run, by its folder."""
    open_jobs = [record[run.folder] for run, _ in runs if run.folder in record and not is_finished(folder / run.folder)]
    slurm = _slurm_states() if any(its.executor == SLURM for its in open_jobs) else {}
    return {run.folder: _status(folder, run, record.get(run.folder), slurm) for run, _ in runs}


def _status(folder: Path, run: Run, its: Submitted | None, slurm: dict[str, str]) -> Status:
    if is_finished(folder / run.folder):
        return Status('finished')
    if its is None:
        return Status('new')
    utils = cluster.library().core.utils
    paths = utils.JobPaths(folder / FOLDER, its.job, 0)
    state = slurm.get(its.job, '') if its.executor == SLURM else _process_state(folder, its.job)
    if state and state not in ENDED:
        return Status('waiting' if state in WAITING else 'running')
    if (reason := reason_file(paths)).exists():
        return Status('failed', read_object(reason)[ERROR], paths.stdout)
    if paths.result_pickle.exists():
        outcome, value = utils.pickle_load(paths.result_pickle)
        if outcome == 'success':  # its results are on their way to this machine, or were deleted to have it done again
            on_its_way = (folder / run.folder).is_dir() and time.time() - paths.result_pickle.stat().st_mtime < LATE
            return Status('running' if on_its_way else 'new')
        return Status('failed', value.strip().rpartition('\n')[2], paths.stdout)
    return Status('failed', _without_a_word(its, state, paths.stdout), paths.stdout)


def _without_a_word(its: Submitted, state: str, file: Path) -> str:
    """The reason that a job ended which left no result, as far as it is known."""
    state = state or (_accounted(its.job) if its.executor == SLURM else '')
    words = [f'job {its.job} ended before the run did' + (f' ({state})' if state else '')]
    words += [REMEDIES[state]] if state in REMEDIES else []
    if not file.exists():
        words.append('it has not even begun a log: is the --workdir on a disk that all machines share?')
    return '; '.join(words)


def _slurm_states() -> dict[str, str]:
    """The state of each job of this user that Slurm remembers, by its id; UserError if Slurm does not answer."""
    command = ['squeue', '--noheader', '--array', '--me', '--states=all', '--format=%i %T']
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(
            f'squeue: does not answer ({error}), so the state of the jobs is not known; try later'
        ) from None
    if answer.returncode:
        raise UserError(f'{answer.stderr.strip()}; the state of the jobs is not known: try later')
    return dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if line.strip())


def _accounted(job: str) -> str:
    """The last state of a job that Slurm has forgotten but for its accounting; '' where there is none."""
    try:
        command = ['sacct', '--noheader', '--allocations', '--parsable2', '--format=State', f'--jobs={job}']
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    words = answer.stdout.split()
    return words[0] if not answer.returncode and words else ''


def _process_state(folder: Path, job: str) -> str:
    """'RUNNING' if the process of a local job is there; '' if it is not, or the number is another process's by now."""
    about = Path('/proc', job)
    try:
        os.kill(int(job), 0)
        if not about.is_dir():  # as on macOS
            return 'RUNNING'
        line, state = (about / 'cmdline').read_bytes(), (about / 'stat').read_text().rpartition(')')[2].split()[0]
    except (PermissionError, ProcessLookupError, FileNotFoundError):
        return ''
    ours = str((folder / FOLDER).absolute()).encode() in line or not line  # it has none while it starts
    return 'RUNNING' if ours and state != 'Z' else ''


def _stopped_with_its_command(folder: Path, its: Submitted) -> bool:
    """True for a process of this machine that was ended from outside, as by Ctrl-C or a restart: it may go on."""
    paths = cluster.library().core.utils.JobPaths(folder / FOLDER, its.job, 0)
    ended = paths.result_pickle.exists() or reason_file(paths).exists()
    return its.executor == LOCAL and not ended and not _process_state(folder, its.job)


def _tell(
    runs: Sequence[tuple[Run, Plan]], folder: Path, states: dict[str, Status], failed: MutableMapping[str, str]
) -> None:
    """Says of each run that failed why, where its log is and how that ends."""
    for run, _ in runs:
        one = states[run.folder]
        if one.word != 'failed':
            continue
        failed[run.folder] = one.error
        log.error('%s failed: %s%s', run, one.error, _end_of(one.log))
    if failed:
        log.error('--resubmit tries again what failed')


def _end_of(file: Path | None) -> str:
    if file is None or not file.exists():
        return ''
    with file.open('rb') as opened:
        opened.seek(max(0, file.stat().st_size - 4000))
        lines = opened.read().decode(errors='replace').strip().splitlines()[-LAST_LINES:]
    return f'\n  the end of its log, {file}:\n' + '\n'.join(f'    {line}' for line in lines)
