"""kill -9 at random moments of runs, in memory and in batches, by one process and by two, and the same command again.

Every second kill falls into one of the first saves of its process, the others fall where chance wants.
"""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from attacks.attack import FRESH, numbers, start
from forked import Started
from helpers import free_port

from alljax.models.trees import flatten
from alljax.storage import checkpoints, model_folder

IN_BATCHES = ('--config.data.device_cache_mb=0',)
KINDS = {  # processes, and further fields
    'in memory': (1, ()),
    'in batches': (1, IN_BATCHES),
    'in memory, two processes': (2, ()),
    'in batches, two processes': (2, IN_BATCHES),
}
SAVES = 5  # of a run, into one of which a kill falls that is aimed at one
LONGEST = 120  # seconds that a run may take, or those that are left need to end


@dataclass
class Tally:
    """What became of the runs of one kind."""

    kills: int = 0
    in_a_save: int = 0
    ended: int = 0  # runs
    disk: float = 0.0  # the most that checkpoints ever took, in parts of those of an undisturbed run
    lost: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All of it, in a line."""
        return (
            f'{self.kills} kills, {self.in_a_save} of them in a save; {self.ended} runs went on to their end, '
            f'{len(self.lost)} of them lost something; checkpoints took {self.disk:.2f} times the disk of two'
        )


def started(kind: str, workdir: Path) -> list[Started]:
    """The processes of a run."""
    count, further = KINDS[kind]
    asked = [*FRESH, *further]
    if count == 1:
        return [start(workdir, asked)]
    asked += [f'--coordinator=127.0.0.1:{free_port()}', f'--processes={count}', '--join_seconds=20']
    return [start(workdir, [*asked, f'--process={place}']) for place in range(count)]


def whole(kind: str, workdir: Path) -> tuple[str, float, int]:
    """The digest of a run that nobody disturbs, the seconds that it takes, and the bytes of its checkpoints."""
    began = time.monotonic()
    for code, said in [process.outcome() for process in started(kind, workdir)]:
        assert code == 0, said
    return digest_of(workdir), time.monotonic() - began, on_disk(workdir / 'checkpoints')


def attack(kind: str, kills: int, rng: Random, folder: Path) -> Tally:
    """Kills runs of a kind, one after the other, until there were so many kills and the last run has ended."""
    whole(kind, folder / 'first')  # which fills the caches
    expected, seconds, size = whole(kind, folder / 'whole')
    tally, run, newest = Tally(), folder / 'killed', -1
    while tally.kills < kills or run.exists():
        processes = started(kind, run)
        save = rng.randint(1, SAVES) if tally.kills % 2 else 0
        saving = tally.kills < kills and _wait(processes, run, rng.uniform(0, seconds), save)
        if tally.kills < kills and not any(process.ended() for process in processes):
            victim = rng.randrange(len(processes))
            processes[victim].kill()
            for place, process in enumerate(processes):
                if place != victim:
                    process.outcome(LONGEST)
            tally.kills, tally.in_a_save = tally.kills + 1, tally.in_a_save + saving
            newest = _checked(run, newest, tally)
            tally.disk = max(tally.disk, on_disk(run / 'checkpoints') / size)
            continue
        for code, said in [process.outcome(LONGEST) for process in processes]:
            if code or 'Traceback (most recent call last)' in said:
                tally.lost.append(f'exit code {code}: {said[-2000:]}')
        if digest_of(run) != expected:
            tally.lost.append('other parameters, losses or numbers than those of the undisturbed run')
        tally.ended, newest = tally.ended + 1, -1
        shutil.rmtree(run)
    return tally


def _wait(processes: list[Started], run: Path, seconds: float, save: int) -> bool:
    """Returns at the save of this number, or if it is 0 after so many seconds, or at the end; true during a save."""
    end, seen = time.monotonic() + seconds, set[str]()
    while not any(process.ended() for process in processes):
        saving = {path.name for path in run.glob('checkpoints/.*.part')}
        seen |= saving
        if (saving and len(seen) >= save) if save else time.monotonic() > end:
            return bool(saving)
        time.sleep(0.001)
    return False


def _checked(run: Path, newest: int, tally: Tally) -> int:
    """The step of the last checkpoint; notes in the tally if one is damaged, or the last one is gone."""
    place = run / 'checkpoints'
    steps = sorted(int(path.name) for path in place.iterdir() if path.name.isdecimal()) if place.is_dir() else []
    if [step for step, _ in checkpoints.kept(place)] != steps:
        tally.lost.append(f'a damaged checkpoint among {steps}')
    if max(steps, default=-1) < newest:
        tally.lost.append(f'the checkpoint of step {newest}; there are {steps}')
    return max(steps, default=-1)


def digest_of(run: Path) -> str:
    """A digest of the parameters, the last checkpoint, the losses and all numbers of a run that has ended."""
    digest = hashlib.sha256(repr(numbers(run)).encode())
    last = checkpoints.kept(run / 'checkpoints')[-1][1]
    for tree in (model_folder.read_variables(run / 'model'), last):
        for name, leaf in sorted(flatten(tree).items()):
            digest.update(name.encode() + np.asarray(leaf).tobytes())
    rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    digest.update(json.dumps([row.get('loss', row.get('validation_loss')) for row in rows]).encode())
    return digest.hexdigest()


def on_disk(run: Path) -> int:
    """Bytes of all files below a folder, as they are now."""
    return sum(path.stat().st_size for path in run.rglob('*') if path.is_file())
