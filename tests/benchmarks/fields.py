"""Time and memory of whole fields with painted cells: a field of 2592 × 1944 with 100 cells, a TIFF of 20,000 × 20,000.

    python tests/benchmarks/fields.py

Each line is a process of its own: the white cells found, how many of these are painted ones, its processor time and its
most memory. The last is the whole of `alljax smear`, with an untrained AlexNet of the usual size and its heat maps.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

import numpy as np
import painted_field as painted
import tifffile
from PIL import Image

from alljax.fields import field_image, tiles

FIELD, HUNDRED = (2592, 1944), (10, 10)  # width and height, and the rows and columns of its cells
BLOCK, SIXTEEN, REPEATS = (2000, 2000), (4, 4), 10  # the TIFF is so many blocks wide and high
TILE = 400


def main() -> None:
    if sys.argv[1:2] == ['find']:
        find(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cells = places(FIELD, HUNDRED)
        Image.fromarray(painted.field(cells, FIELD)).save(folder / 'field.png')
        tiff(folder / 'large.tif')
        save_run(folder / 'run')
        print(f'{cpu()}, one process each')
        print('| | seconds on the clock | of the processor | GiB | found |\n|---|---|---|---|---|')
        own = ['python', __file__, 'find']
        report('2592 × 1944, found', [*own, str(folder / 'field.png')])
        report('20,000 × 20,000, found', [*own, str(folder / 'large.tif')])
        smear = [*['python', '-m', 'alljax', 'smear'], str(folder / 'run'), str(folder / 'field.png')]
        report('2592 × 1944, alljax smear', [*smear, '--to', str(folder / 'out')])


def places(size: tuple[int, int], count: tuple[int, int]) -> np.ndarray:
    """The centers of cells in rows and columns over a field."""
    down, across = ((np.arange(n) + 0.5) * side / n for n, side in zip(count, size[::-1], strict=True))
    return np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)


def tiff(path: Path) -> None:
    """Writes a tiled TIFF of one block, again and again."""
    block = painted.field(places(BLOCK, SIXTEEN), BLOCK)
    side, of = BLOCK[0] * REPEATS, BLOCK[0] // TILE

    def every():
        for row in range(side // TILE):
            for column in range(side // TILE):
                top, left = row % of * TILE, column % of * TILE
                yield block[top : top + TILE, left : left + TILE]

    shape = (side, side, 3)
    tifffile.imwrite(path, every(), shape=shape, dtype=np.uint8, photometric='rgb', tile=(TILE, TILE))


def save_run(folder: Path) -> None:
    import helpers  # with JAX, which finding cells does without

    from alljax import models
    from alljax.storage import model_folder
    from alljax.storage.card import Card

    model = models.create('alexnet', 4)
    card = Card(('L1', 'L2', 'L3', 'normal'), models.NetworkSpec('alexnet', {}), model.input, data_size=257)
    model_folder.write(folder / 'model', helpers.variables_of(model.init, 1), card)


def find(path: Path) -> None:
    """Finds the cells of a field, and prints how many, and how many of those are where one was painted."""
    field = field_image.open_field(path)
    centers = tiles.find(field).found.centers
    one = places(FIELD, HUNDRED) if path.suffix == '.png' else places(BLOCK, SIXTEEN)
    shift = np.stack(np.meshgrid(*[np.arange(0, side, BLOCK[0]) for side in (field.width, field.height)]), -1)
    truth = one if path.suffix == '.png' else (one[None] + shift.reshape(-1, 1, 2)).reshape(-1, 2)
    near = [np.hypot(*(centers - place).T).min() < painted.WHITE / 4 for place in truth]
    print(json.dumps({'found': len(centers), 'painted': len(truth), 'of these found': sum(map(bool, near))}))


def report(name: str, command: list[str]) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    script = 'import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True); '
    script += 'print(done.stdout.strip().splitlines()[-1] if done.returncode == 0 else done.stderr[-500:]); '
    script += 'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)'
    done = subprocess.run([sys.executable, '-c', script, sys.executable, *command[1:]], capture_output=True, text=True,
                          cwd=ROOT, check=True)  # fmt: skip
    after, (said, peak) = resource.getrusage(resource.RUSAGE_CHILDREN), done.stdout.strip().splitlines()[-2:]
    spent = sum(getattr(after, kind) - getattr(before, kind) for kind in ('ru_utime', 'ru_stime'))
    print(f'| {name} | {time.monotonic() - began:.0f} | {spent:.0f} | {int(peak) / 2**20:.2f} | {said} |', flush=True)


def cpu() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next((line.partition(': ')[2] for line in lines if line.startswith('model name')), 'unknown processor')


if __name__ == '__main__':
    main()
