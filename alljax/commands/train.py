"""Trains and tests what a config file says: one run, or all those of its sweep.

`--config=FILE` names a config file, which defines get_config(); `--config.a.b=value` changes a field of it. The run
folder holds the model, its results and a report; given again with the same --workdir, the command goes on from the last
save. `--evaluate_on=DIR --workdir=RUN` trains nothing: it tests a finished run on another set of cells.
`python launch.py` is the same command.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import app, flags

from alljax.errors import UserError
from alljax.evaluation import formatting
from alljax.storage import joining, progress_bar, speed_record
from alljax.storage.joining import Team
from alljax.storage.log import set_up_logging

CONFIG = flags.DEFINE_string('config', None, 'The config file; --config.a.b=value changes a field of it.')
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The run folder; an old one goes on. Default: runs/<config>-<data>-<time>.'
)
JOBS = flags.DEFINE_integer(
    'jobs',
    None,
    'Of several runs, how many are done at a time. Default: 1; with --executor=slurm, as Slurm has place.',
    lower_bound=1,
)
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Shows the plan with an estimate of its time, and does nothing.')
EXECUTOR = flags.DEFINE_enum(
    'executor',
    None,
    ['local', 'slurm'],
    'Submits several runs as jobs through submitit: to Slurm, or as processes of this machine. The same command again '
    'says how far they are. --slurm.time=2:00:00, --slurm.partition=gpu and so on are the options of sbatch.',
)
TOGETHER = flags.DEFINE_bool(
    'together', False, 'Trains the new layers of several runs on the same frozen features in one program, to 1e-5.'
)
COORDINATOR = flags.DEFINE_string(
    'coordinator', None, 'Several processes train one network: HOST:PORT of the first one, on which it listens.'
)
PROCESSES = flags.DEFINE_integer('processes', None, 'With --coordinator: the number of processes.')
PROCESS = flags.DEFINE_integer('process', None, 'With --coordinator: the number of this one, from 0; 0 writes the run.')
DISTRIBUTED = flags.DEFINE_enum(
    'distributed',
    None,
    ['slurm', 'kubernetes'],
    'In the place of these three: the tasks of srun, or the pods of an indexed Job, train one network.',
)
JOIN_SECONDS = flags.DEFINE_integer(
    'join_seconds', 300, 'That a process waits for the others, before training.', lower_bound=1
)
RESUBMIT = flags.DEFINE_bool('resubmit', False, 'With --executor: submits the runs whose job failed once more.')

EVALUATE_ON = flags.DEFINE_string(
    'evaluate_on', None, "A folder of cells, such as another laboratory's: tests the finished run of --workdir on it."
)
LABELS = flags.DEFINE_string(
    'labels', None, 'With --evaluate_on: a CSV file of theirs,ours that says which class each of its labels is.'
)

HELP = ('--help', '-help', '--helpshort', '-helpshort', '-h', '-?')
EXAMPLE = 'alljax train --config=configs/subtype.py --config.epochs=50 --workdir=runs/mine'


def main(arguments: Sequence[str] | None = None) -> int:
    """Does the run or runs of a config file; the exit code is 1 if one of several failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not {*HELP}.isdisjoint(arguments):
        print(_help())
        return 0
    flags.FLAGS.unparse_flags()  # those of an earlier call in the same process
    try:
        app.run(_train, [sys.argv[0], *arguments], flags_parser=_overrides)
    except SystemExit as done:  # so it ends in any case
        if isinstance(done.code, str):
            raise
        return done.code or 0


def _train(given: tuple[dict[str, str], dict[str, str]]) -> int:
    """Loads the config, applies the overrides and does its run or runs."""
    set_up_logging()  # absl has added a handler of its own
    overrides, slurm = given
    if EVALUATE_ON.value is not None:
        return _evaluate(EVALUATE_ON.value, overrides)
    if LABELS.value is not None:
        raise UserError('--labels goes with --evaluate_on; for a run that is to be trained set --config.test.labels')
    if not EXECUTOR.value and (slurm or RESUBMIT.value):
        name = f'slurm.{next(iter(slurm))}' if slurm else 'resubmit'
        raise UserError(f'--{name}: goes with --executor; add --executor=slurm, or leave it out')
    if TOGETHER.value and EXECUTOR.value:
        raise UserError('--together: trains in one process what --executor does in jobs; leave one of them out')
    if CONFIG.value is None:
        raise UserError('--config is missing; try python launch.py --config=configs/subtype.py')
    if team := _team():
        joining.check(team)
    with progress_bar.shown(_starting(CONFIG.value, overrides)):  # takes seconds
        from alljax import config, sweep

    values = config.load(CONFIG.value)
    config.override(values, overrides)
    folder = Path(WORKDIR.value).expanduser() if WORKDIR.value else None
    if team:
        sweep.launch_over_hosts(values, CONFIG.value, overrides, folder, team, _beside_team())
        return 0
    cluster = None
    if EXECUTOR.value:
        cluster = sweep.Cluster(EXECUTOR.value, slurm, JOBS.value or 0, RESUBMIT.value)
    good = sweep.launch(
        values,
        CONFIG.value,
        overrides,
        folder,
        jobs=JOBS.value or 1,
        dry_run=DRY_RUN.value,
        cluster=cluster,
        together=TOGETHER.value,
    )
    return 0 if good else 1


def _team() -> Team | None:
    """The processes that train together, as the flags name them; None for a process that is alone."""
    asked = (COORDINATOR.value, PROCESSES.value, PROCESS.value, DISTRIBUTED.value)
    if all(value is None for value in asked):
        return None
    return Team(COORDINATOR.value or '', PROCESSES.value, PROCESS.value, DISTRIBUTED.value or '', JOIN_SECONDS.value)


def _beside_team() -> str:
    """A flag that goes with one process only; '' if none is given."""
    others = (EXECUTOR, TOGETHER, JOBS, DRY_RUN)
    return next((f'--{one.name}' for one in others if one.value), '')


def _starting(config_file: str, overrides: Mapping[str, str]) -> str:
    """The words of the bar while the package is loaded: with the time that all takes, where an earlier one tells it."""
    seconds = speed_record.whole(config_file, overrides.get('data.root', '')) if progress_bar.on_terminal() else 0
    return f'{formatting.about(seconds)} left, starting' if seconds else 'starting'


def _evaluate(root: str, overrides: dict[str, str]) -> int:
    """Tests a finished run on another set."""
    if WORKDIR.value is None:
        raise UserError('--evaluate_on needs --workdir=RUN, the folder of a finished run')
    if overrides:
        raise UserError(f'--config.{next(iter(overrides))}: is not used with --evaluate_on, which trains nothing')
    from alljax import config
    from alljax.runs import external

    if CONFIG.value is not None:
        config.load(CONFIG.value)  # for it may add a network or a system of the user's own
    external.evaluate_on(Path(WORKDIR.value).expanduser(), Path(root), LABELS.value or '')
    return 0


def _overrides(argv: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Lets absl take its flags and returns the `--config.a.b=value` among them, and the `--slurm.a=value`.

    UserError for what is none of these.
    """
    overrides: dict[str, str] = {}
    slurm: dict[str, str] = {}
    rest = []
    for argument in argv:
        key, equals, value = argument.lstrip('-').partition('=')
        if not argument.startswith(('--config.', '--slurm.')):
            rest.append(argument)
        elif not equals:
            raise UserError(f'{argument}: expected {argument}=value')
        elif argument.startswith('--slurm.'):
            slurm[key.removeprefix('slurm.').replace('_', '-')] = value
        else:
            overrides[key.removeprefix('config.')] = value
    try:
        left = flags.FLAGS(rest)[1:]
    except flags.Error as error:
        raise UserError(str(error)) from None
    if left:
        raise UserError(f'{" ".join(left)}: was not understood; overrides are written --config.epochs=50')
    return overrides, slurm


def _help() -> str:
    own = flags.FLAGS.module_help(sys.modules[__name__]).partition(':\n')[2]
    usage = (
        'alljax train --config=FILE [--config.a.b=value …] [--workdir=DIR] [--jobs=N] [--dry_run]\n'
        '       alljax train --config=FILE --workdir=DIR --executor=slurm --slurm.time=LIMIT [--slurm.OPTION=VALUE …]\n'
        '       alljax train --config=FILE --workdir=DIR --coordinator=HOST:PORT --processes=N --process=I\n'
        '       alljax train --evaluate_on=DIR --workdir=RUN [--labels=FILE]'
    )
    more = '--helpfull lists the flags of absl too.'
    return f'usage: {usage}\n\n{__doc__}\nflags:\n{own}\n\n{more}\n\nexample:\n  {EXAMPLE}'
