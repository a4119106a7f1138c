"""Time and peak memory against the number of cells: build, audit, frozen features, one epoch, evaluation.

    python tests/benchmarks/growth.py [--cells 250 2500] [--parts build audit features epoch evaluation] [--in_memory]
        [--folder DIR] [--figure growth.png]

The cells are those of drawn_folder.py, read in batches unless --in_memory says otherwise. Each part is done in a
process of its own, after one batch that compiles. The network is SqueezeNet 1.1 at a tenth of its width, from random
weights: what is measured is the way of the data and not a convolution. Seconds are of the processor, all threads
together, with what a part loads once; memory is the most that the process ever held, and what it held before the part
began. What was measured in --folder is kept there, and not measured again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import numpy as np
from drawn_folder import CLASSES, SIZE, draw

BATCH = 28
COLORS = ('#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7')  # told apart by color-blind eyes (Okabe and Ito)
MARKERS = 'osD^v'
TINY = ('squeezenet1_1', {'head': 8, 'size': SIZE, 'width': 0.1})


class Measured(NamedTuple):
    """What one part cost."""

    seconds: float
    megabytes: float
    before: float  # megabytes


def main() -> None:
    """Prints a table and draws the figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cells', type=int, nargs='*', default=[250, 2500], help='such as 250 2500 25000 250000')
    parser.add_argument('--parts', nargs='*', default=[*PARTS], choices=[*PARTS])
    parser.add_argument('--in_memory', action='store_true')
    parser.add_argument('--folder', type=Path)
    parser.add_argument('--figure', type=Path, default=Path('growth.png'))
    parser.add_argument('--one', nargs=2, default=())
    options = parser.parse_args()
    if options.one:
        part, count = options.one
        print(json.dumps(measured(PARTS[part], options.folder / count, options.in_memory)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        found = {}
        for count in options.cells:
            for part in dict.fromkeys(['build', *options.parts]):  # the others need what it builds
                found[part, count] = kept(part, count, folder, options.in_memory)
    print(processor())
    print(f'{"":12}' + ''.join(f'{count:>22,} cells' for count in options.cells))
    for part in options.parts:
        rows = [found[part, count] for count in options.cells]
        print(f'{part:12}' + ''.join(f'{one.seconds:12.1f} s {one.megabytes:8.0f} MB   ' for one in rows))
    before = [one.before for one in found.values()]
    print(f'before a part begins a process holds {min(before):.0f} to {max(before):.0f} MB')
    draw_figure(options.figure, found, options.cells, options.parts)


def kept(part: str, count: int, folder: Path, in_memory: bool) -> Measured:
    """What a part costs, as it was measured before in the same folder, else measured now."""
    file = folder / f'{part}-{count}{"-in-memory" * in_memory}.json'
    if not file.exists():
        draw(folder / str(count), count)
        file.write_text(json.dumps(in_own_process(part, count, folder, in_memory)))
    return Measured(*json.loads(file.read_text()))


def in_own_process(part: str, count: int, folder: Path, in_memory: bool) -> Measured:
    """What a part costs in a new process."""
    command = [sys.executable, __file__, '--one', part, str(count), '--folder', folder]
    where = {**os.environ, 'ALLJAX_CACHE': str(folder / f'cache-{count}')}
    done = subprocess.run(
        [*command, *['--in_memory'] * in_memory], env=where, check=True, capture_output=True, text=True
    )
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def measured(prepare: Callable[[Path, bool], Callable[[], object]], root: Path, in_memory: bool) -> Measured:
    """What a part costs here, once it is prepared."""
    part = prepare(root, in_memory)
    before, start = peak(), seconds()
    part()
    return Measured(seconds() - start, peak(), before)


def seconds() -> float:
    """Seconds that all processors have worked for this process and those that it started."""
    return sum(sum(resource.getrusage(whose)[:2]) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak() -> float:
    """The most MB that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def processor() -> str:
    """The processor of this machine, and how many cores there are."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    name = next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), 'unknown')
    return f'{name}, {os.cpu_count()} cores'


def load(root: Path, in_memory: bool):
    """The cells, on the disk unless they are asked for in memory."""
    from alljax.data import datasets

    limit = float('inf') if in_memory else 0
    return datasets.load(datasets.DataOptions('folder', str(root), 'classes', SIZE, device_cache_mb=limit), 0)


def build(root: Path, in_memory: bool) -> Callable[[], object]:
    """From image files to files in the cache, and to cells."""
    return lambda: load(root, in_memory)


def audit(root: Path, in_memory: bool) -> Callable[[], object]:
    """The search for repeats and shortcuts."""
    from alljax.data import audit as auditing

    return lambda: auditing.audit(root)


def features(root: Path, in_memory: bool) -> Callable[[], object]:
    """The features of a frozen network, none of them known before."""
    from alljax.models import NetworkSpec
    from alljax.training import inputs

    spec, cells = NetworkSpec(*TINY), load(root, in_memory)
    model, (body, _) = spec.create(CLASSES), spec.cut(CLASSES)
    variables = model.init(key())
    inputs.body_features(spec, body, variables, cells.take(np.arange(BATCH)).images, BATCH)
    return lambda: inputs.body_features(spec, body, variables, cells.images, BATCH)


def epoch(root: Path, in_memory: bool) -> Callable[[], object]:
    """One epoch of the whole network, with augmentation."""
    cells = load(root, in_memory)
    train(cells, np.arange(BATCH), TINY)
    return lambda: train(cells, np.arange(len(cells)), TINY)


def train(cells, index, network):
    """One epoch of a network, by its name and options, on the cells at `index`; the program is compiled once."""
    import jax
    import jax.numpy as jnp

    from alljax.models.trees import flatten
    from alljax.storage.checkpoints import Checkpoints
    from alljax.training import inputs, loop, optimizer
    from alljax.training.metrics_log import MetricsLog
    from alljax.training.progress import Progress
    from alljax.training.step import TrainingSetup, initial_state, make_step

    if not PROGRAM:
        from alljax.training.optimizer import OptimizerOptions

        fed = inputs_of(cells, network)
        names = dict.fromkeys(flatten(fed.variables['params']), 1.0)
        update = optimizer.make(OptimizerOptions(), names, 10, 10)
        setup = TrainingSetup(fed.model, update, fed.prepare, names, jnp.ones(CLASSES), 0)
        PROGRAM.extend([make_step(setup), setup, fed])
    step, setup, fed = PROGRAM
    schedule = loop.Schedule(index, BATCH, 1, 0, 0, 1e9)
    progress = Progress(initial_state(setup, jax.tree.map(jnp.copy, fed.variables)), None, 0.0)
    folder = Path(tempfile.mkdtemp())
    files = loop.Files(MetricsLog(folder, 0), Checkpoints(folder / 'checkpoints'), {'seed': 0})
    try:
        return loop.fit(
            loop.Steps(step), progress, inputs.batch_source(fed, jnp.asarray(cells.labels)), schedule, None, files
        )
    finally:
        files.metrics.close()
        files.checkpoints.close()


def inputs_of(cells, network):
    """A network, by its name and options, with the pictures of cells."""
    from alljax.data.augment import Augmentation
    from alljax.models import create
    from alljax.training import inputs

    name, options = network
    model = create(name, CLASSES, **options)
    return inputs.image_inputs(model, model.init(key()), cells.images, Augmentation())


PROGRAM: list = []  # of this process, which compiles it once


def evaluation(root: Path, in_memory: bool) -> Callable[[], object]:
    """Every measure with its intervals, and the table of predictions, of given logits."""
    from alljax.evaluation import mistakes
    from alljax.runs import prediction_table, results
    from alljax.training import inference

    cells = load(root, in_memory)
    logits = np.random.default_rng(0).normal(0, 1, (len(cells), CLASSES)) + 2 * np.eye(CLASSES)[cells.labels]

    def evaluate() -> None:
        results.score(cells, logits)
        shares = inference.probabilities(logits, 'drawn')
        groups = [cells.group_names[group] for group in cells.groups]
        mistakes.most_confident(shares, cells.labels, cells.images, cells.names, groups, cells.classes)
        prediction_table.write(Path(tempfile.mkdtemp()) / 'predictions.csv', cells, shares, {})

    return evaluate


def key():
    """The key of all random weights."""
    import jax

    return jax.random.key(0)


PARTS: dict[str, Callable[[Path, bool], Callable[[], object]]] = {
    'build': build,
    'audit': audit,
    'features': features,
    'epoch': epoch,
    'evaluation': evaluation,
}


def draw_figure(
    path: Path, found: dict[tuple[str, int], Measured], counts: Sequence[int], parts: Sequence[str]
) -> None:
    """Seconds against cells, both logarithmic, beside a line of slope 1; megabytes against cells."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 4), layout='constrained')
    for part, color, marker in zip(parts, COLORS, MARKERS, strict=False):
        rows, look = [found[part, count] for count in counts], {'color': color, 'marker': marker, 'label': part}
        time.loglog(counts, [one.seconds for one in rows], **look)
        memory.semilogx(counts, [one.megabytes for one in rows], **look)
    most = max(found[part, counts[-1]].seconds for part in parts) / counts[-1]
    time.loglog(counts, [3 * most * count for count in counts], 'k:', label='in proportion to the cells')
    for axis, label in ((time, 'processor time, s'), (memory, 'peak memory of the process, MB')):
        axis.set_xlabel(f'cells of {SIZE} × {SIZE} pixels')
        axis.set_ylabel(label)
        axis.set_xticks(counts, [f'{count:,}' for count in counts])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
    memory.set_ylim(bottom=0)
    time.yaxis.set_major_formatter('{x:g}')
    figure.legend(*time.get_legend_handles_labels(), loc='outside upper center', ncols=6, frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == '__main__':
    main()
