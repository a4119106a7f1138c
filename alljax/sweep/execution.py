"""The runs of a sweep, each in a process that can die without taking the others along."""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from pathlib import Path
from typing import NamedTuple

from joblib.externals.loky import get_reusable_executor
from ml_collections import ConfigDict

from alljax import config as config_files
from alljax.config.fields import later_fields
from alljax.config.plan import Plan
from alljax.config.resolve import resolve
from alljax.data import datasets, split
from alljax.data.cells import Cells
from alljax.data.datasets import DataOptions
from alljax.data.external import ExternalCells, ExternalOptions
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.runs import data_check, experiment, final_model, heads_together, results, run_cells
from alljax.storage import progress_bar, run_folder
from alljax.storage.log import set_up_logging
from alljax.storage.progress_bar import Stage
from alljax.sweep import progress
from alljax.sweep.variants import Run

log = logging.getLogger(__name__)

Loaded = MutableMapping[tuple[DataOptions, int], Cells]  # data sets that were read, without their denoising


class PreparedRun(NamedTuple):
    """A run of which all is known that can be known before its first step."""

    run: Run
    plan: Plan
    sources: Cells
    cells: Cells  # with their copies, which are of one pixel here
    parts: Split


def prepare(
    runs: Sequence[Run],
    config: ConfigDict,
    overrides: Collection[str],
    folder: Path | None = None,
    loaded: Loaded | None = None,
) -> list[PreparedRun]:
    """The runs, looked at without any work; UserError with all that would stop one of them.

    That includes a run in `folder` that is finished, but was of another config or on other cells. `loaded` are cells
    that were read before. Pictures that look like whole fields are told, once for all runs.
    """
    problems: dict[str, None] = {}  # in order, each once
    loaded = {} if loaded is None else loaded
    seconds: dict[tuple[ExternalOptions, DataOptions], ExternalCells] = {}
    found = []
    for run in runs:
        place = (folder / run.folder) if folder else None
        try:
            values = config_files.with_fields(config, run.fields)
            plan = resolve(values, {*overrides, *run.fields}, run_folder.earlier(place))
            sources = load(plan, loaded)
            _, cells, parts, _ = run_cells.divided_without_images(plan, sources, _second(plan, sources, seconds))
            found.append(PreparedRun(run, plan, sources, cells, parts))
            if place:
                _check_same(place, plan, sources)
                if run.final and run_folder.is_finished(place):
                    final_model.check(place)
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise UserError(*problems)
    for sources in {cells.origin.root: cells for cells in loaded.values()}.values():
        run_cells.warn_of_fields(sources)
    return found


def number_of_groups(config: ConfigDict, overrides: Collection[str]) -> int:
    """The number of groups in the cells of a config; UserError if it is not known what they are."""
    plan = resolve(config, overrides)
    return split.number_of_groups(datasets.load(plan.data._replace(denoise='none'), plan.seed))


def _check_same(place: Path, plan: Plan, sources: Cells) -> None:
    differences = run_folder.differences(place, dict(plan.fields), later_fields())
    if differences:
        raise UserError(f'{place}: holds a run of another config ({"; ".join(differences)}); name a new --workdir')
    if run_folder.is_finished(place):
        run_folder.check_config(place)
        data_check.same_data(results.read(place)['data']['fingerprint'], sources, place)


def run_all(
    runs: Sequence[tuple[Run, Plan]],
    config_file: str,
    folder: Path,
    jobs: int,
    failed: MutableMapping[str, str],
    bar: progress.Bar | None = None,
    *,
    together: bool = False,
) -> None:
    """Does what is not finished, `jobs` at a time; adds the folder and the reason of each that fails to `failed`.

    A `bar` shows how far they are; without one each run shows its own. With `together` heads on frozen features are
    trained in one program first, where that comes to the same as the training of each.
    """
    todo = [(run, plan) for run, plan in runs if not run_folder.is_finished(folder / run.folder)]
    if len(todo) < len(runs):
        log.info('%d runs are finished and kept', len(runs) - len(todo))
    pools: queue.SimpleQueue[Pool] = queue.SimpleQueue()
    for _ in range(jobs):
        pools.put(_pool(jobs, heard=bool(bar)))

    if together and len(todo) > 1:
        if bar:
            bar.heard(Stage('heads together'))
        pool = pools.get()
        places = [(plan, folder / run.folder) for run, plan in todo]
        try:
            count = pool.executor.submit(_heads_together, config_file, places).result()
            log.info('the heads of %d runs were trained together', count)
        except BrokenProcessPool:
            log.warning('the heads are trained one by one: the process that trained them together was killed, perhaps '
                        'for lack of memory')  # fmt: skip
            pool = _pool(jobs, heard=bool(bar))
        pools.put(pool)

    def in_pool(run: Run, plan: Plan) -> tuple[str, float]:
        pool, start = pools.get(), time.monotonic()
        following = bar.following(run.folder, pool.channel) if bar and pool.channel else nullcontext()
        try:
            with following:
                with _interrupts_wait():  # a new process inherits it, and imports for seconds before it can handle one
                    future = pool.executor.submit(run_one, config_file, plan, folder / run.folder)
                error = future.result()
        except BrokenProcessPool:
            pool = _pool(jobs, heard=bool(bar))
            error = 'its process was killed, perhaps for lack of memory; try a smaller --config.batch_size or --jobs=1'
        finally:
            pools.put(pool)
        return error, time.monotonic() - start

    with ThreadPoolExecutor(jobs) as threads:
        futures = {threads.submit(in_pool, run, plan): run for run, plan in todo}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                run, (error, seconds) = futures[future], future.result()
                if error:
                    failed[run.folder] = error
                _log_result(run, number, len(todo), error, seconds, folder)
        finally:
            threads.shutdown(cancel_futures=True)
            while not pools.empty():
                pools.get().executor.shutdown(cancel_futures=True)


def _log_result(run: Run, number: int, total: int, error: str, seconds: float, folder: Path) -> None:
    if error:
        log.error('%d of %d: %s failed: %s', number, total, run, error)
        return
    found = results.read(folder / run.folder)
    if run.final:
        log.info('%d of %d: %s: trained on %d cells (%.0f s)', number, total, run, found['split']['train_n'], seconds)
        return
    marks = [mark for mark in results.marks(found) if mark != 'synthetic cells']  # which is said of the sweep
    about = f' [{", ".join(marks)}]' if marks else ''
    log.info('%d of %d: %s: accuracy %.1f %%%s (%.0f s)', number, total, run, 100 * found['test']['accuracy'], about,
             seconds)  # fmt: skip


def load(plan: Plan, loaded: Loaded) -> Cells:
    """The cells without their denoising, each set once."""
    raw = plan.data._replace(denoise='none')
    key = raw, plan.seed
    if key not in loaded:
        loaded[key] = datasets.load(*key)
    return loaded[key]


def _second(
    plan: Plan, sources: Cells, loaded: MutableMapping[tuple[ExternalOptions, DataOptions], ExternalCells]
) -> ExternalCells | None:
    """The second set of a plan, each once; None if it has none."""
    if not plan.external.root:
        return None
    key = plan.external._replace(adapt_cells=0, adapt_groups=0), plan.data
    if key not in loaded:
        loaded[key] = run_cells.load_second(plan, sources)
    return loaded[key]


class Pool(NamedTuple):
    """A process that does one run after the other, and so compiles once what they share."""

    executor: ProcessPoolExecutor
    channel: Connection | None = None  # on which it says how far it is


def _pool(jobs: int, *, heard: bool = False) -> Pool:
    context = get_context('spawn')
    ours, theirs = context.Pipe(duplex=False) if heard else (None, None)
    executor = ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(jobs, theirs))
    return Pool(executor, ours)


def _start(jobs: int, channel: Connection | None = None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Finalize(None, _end_helpers, exitpriority=100)  # before the queues to them are closed, and they are waited for
    set_up_logging(terminal=False)  # which shows a line a run
    os.environ['LOKY_MAX_CPU_COUNT'] = str(max(1, (os.cpu_count() or 1) // jobs))  # cores that features may take
    if jobs > 1:
        os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'  # a GPU is shared
    if jobs > 1 or channel:
        sys.stderr = Path(os.devnull).open('w')  # noqa: SIM115 --  their bars would write over each other
    if channel:
        progress_bar.listen(progress_bar.throttled(channel.send))
    _handle_interrupts()


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Lets Ctrl-C wait in this thread, and in a process that it starts, until `_handle_interrupts` there."""
    if not hasattr(signal, 'pthread_sigmask'):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle_interrupts() -> None:
    """Ends this process without a traceback if Ctrl-C came while it started."""
    try:
        if hasattr(signal, 'pthread_sigmask'):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    except KeyboardInterrupt:
        os._exit(130)


def _end_helpers() -> None:
    """Ends the processes that measured features, which wait five minutes for more, and the sweep for them."""
    get_reusable_executor().shutdown()


def _end_with_parent() -> None:
    """A sweep that is killed takes its runs along; they go on from their last checkpoints when it is started again."""
    parent = parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)


def _heads_together(config_file: str, runs: Sequence[tuple[Plan, Path]]) -> int:
    """Trains the heads of runs together, in a process of the pool; their number."""
    with progress_bar.heard_by(lambda stage: None):  # of which bar would it be?
        if config_file:
            config_files.load(config_file)
        return heads_together.train(runs)


def run_one(config_file: str, plan: Plan, place: Path) -> str:
    """One of several runs, in a process of its own: the reason if it failed, '' if it did not."""
    try:
        if config_file:
            config_files.load(config_file)  # for it may add networks, data sets and systems
        experiment.run(plan, place, of_several=True)
    except UserError as error:
        return str(error)
    except Exception as error:
        return f'{type(error).__name__}: {error} (the traceback is in {place / "run.log"})'
    return ''
