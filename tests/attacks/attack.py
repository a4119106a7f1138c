"""What is done to the program, and what came of it: the parts that all attacks share."""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from forked import Started

CONFIG = Path(__file__).with_name('tiny.py')
FIELDS = (  # a demo would set its own
    '--config.epochs=3', '--config.data.cells=40', '--config.data.equalize=none', '--config.batch_size=8',
    '--config.checkpoint.seconds=0', '--config.split.protocol=random',
)  # fmt: skip
FRESH, FROZEN = (
    ('--config.augment.copies=fresh',),
    ('--config.augment.copies=published', '--config.model.freeze=(?!head/).*'),
)
ROUNDS = int(os.environ.get('ALLJAX_ATTACKS', '1'))  # the short form; 10 are the long one
KNOWN = ('resumed', 'told', 'silent', 'traceback')
Outcome = tuple[int, str]  # exit code, what was said


class Tally:
    """The outcomes of one kind of attack."""

    def __init__(self, name: str):
        self.name, self.found, self.bad = name, Counter(), []

    def note(self, what: str, outcome: Outcome, same: bool, times: int = 1) -> None:
        """The end after `times` attacks: `same` is true if the numbers are those of an undisturbed run."""
        code, said = outcome
        if 'Traceback (most recent call last)' in said or code not in (0, 1, 2):
            kind = 'traceback'
        elif code:
            kind = 'told' if said.strip() else 'silent'
        else:
            kind = 'resumed' if same else 'silent'
        self.found[kind] += times
        if kind in ('silent', 'traceback'):
            self.bad.append(f'{what}: {kind}, exit code {code}\n{said[-2000:]}')

    def check(self) -> None:
        """Prints the tally; fails if a number was wrong without a word, or the program broke."""
        counts = ', '.join(f'{self.found[kind]} {kind}' for kind in KNOWN)
        print(f'\n{self.name}: {self.found.total()} tried, {counts}')
        assert self.found.total()
        assert not self.bad, '\n\n'.join(self.bad)


def start(workdir: Path, fields: Sequence[str] = FRESH, **options) -> Started:
    """A run in a process of its own."""
    return Started('train', f'--config={CONFIG}', f'--workdir={workdir}', *FIELDS, *fields, **options)


def here(capsys: pytest.CaptureFixture, name: str, *arguments) -> Outcome:
    """A command in this process, which spares its start."""
    from alljax import commands

    capsys.readouterr()
    try:
        code = commands.run(name, [*map(str, arguments)])
    except SystemExit as end:
        code = end.code
    except Exception as error:
        print(f'Traceback (most recent call last): {error!r}', file=sys.stderr)
        code = 1
    said = capsys.readouterr()
    return code, said.out + said.err


def train_here(capsys: pytest.CaptureFixture, workdir: Path, fields: Sequence[str] = FRESH) -> Outcome:
    """The run of the config in this process."""
    return here(capsys, 'train', f'--config={CONFIG}', f'--workdir={workdir}', *FIELDS, *fields)


def numbers(run: Path) -> object:
    """All that a finished run says of its test cells."""
    results = json.loads((run / 'results.json').read_text())
    return (run / 'predictions.csv').read_text(), results['test'], results['data']['fingerprint']


def same_numbers(run: Path, whole: object) -> bool:
    """True if the numbers of a run are those of the undisturbed one."""
    try:
        return numbers(run) == whole
    except (OSError, ValueError, KeyError):
        return False


def flip(path: Path, rng: Random) -> int:
    """Flips one bit of a file, which keeps its time as a disk that rots does; returns the place."""
    content, times = bytearray(path.read_bytes()), path.stat()
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return place


def each_flip(folder: Path, rng: Random, copy: Path, chosen: Callable[[list[Path]], list[Path]] = list):
    """A copy of the folder for each file in it, with a bit of that file flipped: what was flipped, and the copy."""
    files = sorted(path for path in folder.rglob('*') if path.is_file() and path.stat().st_size)
    for file in chosen(files):
        for _ in range(ROUNDS):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)  # with the times of the files
            place = flip(copy / file.relative_to(folder), rng)
            yield f'{file.relative_to(folder)}, byte {place}', copy
