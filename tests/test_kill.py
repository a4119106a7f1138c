"""kill -9 at any moment, and the same command again: the end has to be the one of a run that nobody disturbed."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from alljax.storage import checkpoints, model_folder

ROOT = Path(__file__).parents[1]
# Every step is saved, so most kills fall into a save; six epochs of a tenth of the width take seconds.
COMMAND = (
    sys.executable, 'launch.py', '--config=configs/subtype.py', '--config.data.cells=80', '--config.epochs=6',
    '--config.model.width=0.1', '--config.model.head=64', '--config.split.validation=0.3',
    '--config.checkpoint.seconds=0', '--config.batch_size=8', '--config.data.size=64', '--config.model.size=64',
    '--config.report.heat_maps=False',
)  # fmt: skip


def start(workdir):
    return subprocess.Popen(
        [*COMMAND, f'--workdir={workdir}'], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def digest(tree):
    leaves = [(name, np.asarray(leaf)) for name, leaf in sorted(walk(tree))]
    return hashlib.sha256(b''.join(name.encode() + leaf.tobytes() for name, leaf in leaves)).hexdigest()


def walk(tree, prefix=''):
    if not isinstance(tree, dict):
        yield prefix, tree
        return
    for name, branch in tree.items():
        yield from walk(branch, f'{prefix}/{name}')


def steps(workdir):
    path = workdir / 'metrics.jsonl'
    return path.read_text().count('"loss"') if path.is_file() else 0


@pytest.mark.slow
def test_killed_runs_end_as_an_undisturbed_one(tmp_path):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    assert start(whole).wait() == 0
    rng = random.Random(0)
    kills, saving, before = 0, 0, -1
    while kills < 6:
        process = start(killed)
        while process.poll() is None and steps(killed) <= before:  # so that every attempt gets further
            time.sleep(0.01)
        during = rng.random() < 0.5
        end = time.monotonic() + rng.uniform(0, 0.4)
        while process.poll() is None and time.monotonic() < end:
            if during and list(killed.glob('checkpoints/.*.part')):
                saving += 1
                break
            time.sleep(0.001)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        kills, before = kills + 1, steps(killed)
    assert kills >= 4
    assert saving >= 1
    last = start(killed)
    _, said = last.communicate()
    assert last.returncode == 0, said
    trees = [checkpoints.Checkpoints(folder / 'checkpoints').latest()[0] for folder in (whole, killed)]
    assert digest(trees[0]) == digest(trees[1])
    assert digest(model_folder.read_variables(whole / 'model')) == digest(model_folder.read_variables(killed / 'model'))
    assert (whole / 'predictions.csv').read_text() == (killed / 'predictions.csv').read_text()
    assert steps(whole) == steps(killed)
