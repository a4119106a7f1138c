"""kill -9 at any moment, and the same command again: the end has to be the one of a run that nobody disturbed."""

import hashlib
import random
import time

import numpy as np
import pytest
from forked import Started

from alljax.storage import checkpoints, model_folder

# Every step is saved, so most kills fall into a save; six epochs of a tenth of the width take seconds.
FIELDS = (
    '--config=configs/subtype.py', '--config.data.cells=80', '--config.epochs=6',
    '--config.model.width=0.1', '--config.model.head=64', '--config.split.validation=0.3',
    '--config.checkpoint.seconds=0', '--config.batch_size=8', '--config.data.size=64', '--config.model.size=64',
    '--config.report.heat_maps=False',
)  # fmt: skip


def start(workdir):
    return Started('train', *FIELDS, f'--workdir={workdir}')


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
    assert start(whole).outcome()[0] == 0
    rng = random.Random(0)
    kills, saving, before = 0, 0, -1
    while kills < 4:
        process = start(killed)
        while not process.ended() and steps(killed) <= before:  # so that every attempt gets further
            time.sleep(0.01)
        during = kills % 2 == 1  # every second kill falls into a save, the others when they may
        end = time.monotonic() + (60 if during else rng.uniform(0, 0.4))
        while not process.ended() and time.monotonic() < end:
            if during and list(killed.glob('checkpoints/.*.part')):
                saving += 1
                break
            time.sleep(0.001)
        if process.ended():
            break
        process.kill()
        kills, before = kills + 1, steps(killed)
    assert kills == 4
    assert saving >= 1
    code, said = start(killed).outcome()
    assert code == 0, said
    trees = [checkpoints.Checkpoints(folder / 'checkpoints').latest()[0] for folder in (whole, killed)]
    assert digest(trees[0]) == digest(trees[1])
    assert digest(model_folder.read_variables(whole / 'model')) == digest(model_folder.read_variables(killed / 'model'))
    assert (whole / 'predictions.csv').read_text() == (killed / 'predictions.csv').read_text()
    assert steps(whole) == steps(killed)
