"""The commands, one file each: arguments and printing only.

A command is a module here with `main(arguments) -> int`, the exit code, and a line in COMMANDS. What a command does
stands in the rooms below; they are imported after the arguments are read, so that mistakes in them are told at once.
"""

import argparse
import atexit
import gc
import importlib
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from alljax.errors import UserError, exit_on_user_error, nearest, printable
from alljax.storage.allocator import keep_freed_memory
from alljax.storage.log import set_up_logging

UNCOUNTED = '{desc} [{elapsed}]'  # a bar before it is known how many steps there are
DATA_ROOT = '--config.data.root'


class Command(NamedTuple):
    """A command's module, and what is said of it."""

    module: str  # imported only when the command is used
    help: str  # its line in `alljax --help`
    interrupted: str = 'the same command starts again'  # said after Ctrl-C
    computes: bool = False  # with a network, again and again: the memory of one step is kept for the next


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        'try': Command(
            'alljax.commands.try_cells',
            'checks, audits, trains and tests on class folders of your own, and ends in one page',
            'the same command with the same --workdir goes on from the last save',
        ),
        'train': Command(
            'alljax.commands.train',
            'trains and tests what a config file says, once or as a sweep',
            'the same command with the same --workdir goes on from the last save',
            computes=True,
        ),
        'predict': Command('alljax.commands.predict', 'gives the class probabilities of images', computes=True),
        'smear': Command(
            'alljax.commands.smear',
            'finds, classifies and counts the white cells of whole microscope fields',
            'nothing was written; the same command starts again',
        ),
        'find': Command(
            'alljax.commands.find', 'finds the white cells of marked fields, and scores what it finds against the marks'
        ),
        'ensemble': Command(
            'alljax.commands.ensemble',
            'averages finished runs: copies their models into one that predict reads',
            'nothing was written; the same command starts again',
        ),
        'explain': Command('alljax.commands.explain', 'shows on images what a trained network looks at', computes=True),
        'crops': Command('alljax.commands.crops', 'cuts marked cells out of whole fields into a folder of crops'),
        'audit': Command(
            'alljax.commands.audit',
            'finds repeated cells and shortcuts in a folder of cells',
            'nothing was written; the same command starts again',
        ),
        'advise': Command(
            'alljax.commands.advise',
            'says how to test on a folder of cells, what to run and what to expect',
            'the same command goes on with the features that were kept',
        ),
        'weights': Command('alljax.commands.weights', 'lists, downloads and converts published weights'),
        'baselines': Command(
            'alljax.commands.baselines',
            'runs a classical system: beside a run, on a folder of cells, or for its masks',
            'the same command with the same --workdir starts again',
        ),
        'segmentation': Command(
            'alljax.commands.segmentation',
            'trains the network of the system unet, which finds nucleus and cell, on drawn cells and your own masks',
            'nothing was written; the same command starts again',
        ),
        'synthetic': Command('alljax.commands.synthetic', 'draws a set of synthetic cells'),
        'paper': Command('alljax.commands.paper', 'checks the printed numbers of Shafique & Tehsin 2018'),
    }
)


def run(name: str, arguments: Sequence[str]) -> int:
    """The exit code of a command: its own, 2 after a mistake of the user, 130 after Ctrl-C."""
    command, code = COMMANDS.get(name), 1
    atexit.register(gc.freeze)  # looking through all of JAX for what nobody refers to takes a second at the end
    with exit_on_user_error(command.interrupted if command else ''):
        if not command:
            raise UserError(
                f'{name}: is no command{nearest(name, COMMANDS)}; they are {", ".join(COMMANDS)} (see alljax --help)'
            )
        set_up_logging()
        if command.computes:
            keep_freed_memory()
        with while_read():
            code = importlib.import_module(command.module).main(arguments)
    return code


@contextmanager
def taking_a_folder(name: str) -> Iterator[None]:
    """Says the remedies of a data set's problems, which name a field of a config, as `alljax name FOLDER` has them."""
    try:
        yield
    except UserError as error:
        found = (said.replace(f'{DATA_ROOT}=', f'alljax {name} ') for said in error.problems)
        raise UserError(*(said.replace(DATA_ROOT, 'FOLDER') for said in found)) from None


@contextmanager
def while_read() -> Iterator[None]:
    """Ends what is done in it, without an error, once whoever reads what is printed has seen enough, as `head` has."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end


def _nobody_reads() -> bool:
    """True if the other end of stdout is closed."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class Parser(argparse.ArgumentParser):
    """The parser of one command; its help ends with an example.

    `more` gives a paragraph that has to be looked up in a heavy room, so only for who asks for help.
    """

    def __init__(self, name: str, description: str, example: str, more: Callable[[], str] = str):
        super().__init__(
            prog=f'alljax {name}', description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.example, self.more = example, more

    def add_run(self) -> None:
        """Adds the trained model that a command takes first."""
        self.add_argument(
            'run',
            type=Path,
            metavar='RUN',
            help='a run folder, the folder of a cross-validation with a final model, or a model/ folder',
        )

    def parse_args(self, args: Sequence[str] | None = None) -> argparse.Namespace:  # type: ignore[override]
        """The arguments; every path with its ~ expanded, which a shell leaves where it follows a '='."""
        options = super().parse_args(args)
        for name, value in vars(options).items():
            if isinstance(value, Path):
                setattr(options, name, value.expanduser())
            elif isinstance(value, list):
                setattr(options, name, [one.expanduser() if isinstance(one, Path) else one for one in value])
        return options

    def format_help(self) -> str:
        """The usage, the arguments, and the example."""
        self.epilog = '\n\n'.join(filter(None, [self.more(), f'example:\n  {self.example}']))
        return super().format_help()


def tell(sentence: str) -> None:
    """Says a sentence on stderr, beside what a command prints."""
    print(printable(f'alljax: {sentence}', keep=''), file=sys.stderr, flush=True)


def warn_of_synthetic() -> None:
    """Says that a model is of no use for real cells."""
    print('This model was trained on synthetic cells: what it says of real ones means nothing.', file=sys.stderr)


def tell_final_model(path: Path) -> None:
    """Says on stderr if the model that a path means is the final one of a cross-validation, and how good it may be."""
    from alljax.runs import final_model

    if said := final_model.about(path):
        tell(said)


@contextmanager
def progress_bar(doing: str) -> Iterator[Any]:
    """A bar on the terminal that says what is being done, whose clock goes on while a step takes long.

    There is none where stderr is no terminal. `count_steps` gives it a number of steps.
    """
    from tqdm import tqdm

    from alljax.storage.progress_bar import on_terminal, ticking

    bar = tqdm(desc=doing, bar_format=UNCOUNTED, leave=False, disable=not on_terminal(), dynamic_ncols=True)
    with bar, ticking(bar):
        yield bar


def count_steps(shown: Any, steps: int, unit: str) -> Callable[[str, int], None]:
    """Makes a bar count steps, with the time that is left.

    Returns a function of the words for what is being done, and of how many steps more are done.
    """
    shown.bar_format, shown.unit = None, f' {unit}'
    shown.reset(total=steps)

    def step(doing: str, done: int) -> None:
        shown.set_description_str(doing, refresh=not done)
        shown.update(done)

    return step
