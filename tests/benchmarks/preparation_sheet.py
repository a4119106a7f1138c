"""A sheet to look at: cells of each class under every preparation and every jitter of training cells.

    python tests/benchmarks/preparation_sheet.py DIR [--out preparation.png] [--each 2] [--size 257] [--mask rawat2017]

DIR holds a folder of cells for each class. The targets of the stain normalizations are those of the cells shown and
a hundred others; in how many of these the mask's system finds a cell is printed.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

matplotlib.use('Agg')
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from alljax.data import augment, color, image, jitter, stain
from alljax.data.augment import Augmentation
from alljax.data.datasets import folder as class_folders
from alljax.runs import preparation
from alljax.storage.image_preparation import CellPreparation

TARGET_CELLS = 100
SIDE, TITLE = 1.3, 0.5  # inches
LIGHT, JITTERS = 0.2, {'stain': 0.2, 'blur': 3.0, 'noise': 25.0, 'jpeg': 10, 'gray': 1.0}


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('--out', type=Path, default=Path('preparation.png'))
    parser.add_argument('--each', type=int, default=2)
    parser.add_argument('--size', type=int, default=257)
    parser.add_argument('--mask', default='rawat2017')
    options = parser.parse_args()
    records = class_folders.list_cells(options.folder).records
    rng, labels = np.random.default_rng(0), sorted({record.label for record in records})
    chosen = []
    for label in labels:
        its = [record for record in records if record.label == label]
        chosen += [its[place] for place in rng.permutation(len(its))[: options.each]]
    others = [records[place] for place in rng.permutation(len(records))[:TARGET_CELLS]]
    images = np.stack(
        [image.to_square(image.read(options.folder / one.file).pixels, options.size) for one in [*chosen, *others]]
    )
    columns = dict(pictures(images, options.mask, len(chosen)))
    height = SIDE * len(chosen) + TITLE
    figure, axes = plt.subplots(len(chosen), len(columns), figsize=(SIDE * len(columns), height), squeeze=False)
    for column, (title, shown) in enumerate(columns.items()):
        axes[0, column].set_title(title.replace(' ', '\n'), fontsize=7)
        for row, picture in enumerate(shown):
            axes[row, column].imshow(picture)
    for row, record in enumerate(chosen):
        axes[row, 0].set_ylabel(record.label, fontsize=7)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.subplots_adjust(0.03, 0.01, 0.995, 1 - TITLE / height, 0.03, 0.03)
    figure.savefig(options.out, dpi=110)
    print(options.out)


def pictures(images: np.ndarray, mask: str, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """A title and the first `count` pictures, for each column."""
    first = images[:count]
    yield 'as read', first
    for how in stain.NAMES[1:]:
        asked = CellPreparation(how, stain.target(images, how))
        yield how, preparation.prepare(first, asked).images
    found = preparation.prepare(images, CellPreparation(mask=mask)).found
    print(f'{mask} finds a cell in {found.sum()} of {len(found)} pictures')
    for part, fill in (('cell', 'white'), ('cell', 'blur'), ('nucleus', 'white')):
        how = CellPreparation(mask=mask, mask_part=part, mask_fill=fill)
        yield f'{part} {fill}', preparation.prepare(first, how).images
    side = images.shape[1] * 2 // 3
    yield f'crop {side}', preparation.prepare(first, CellPreparation(crop=side)).images
    how = CellPreparation('white_balance', (), mask, crop=side)
    yield 'balance mask crop', preparation.prepare(first, how).images
    real, key = jnp.asarray(first, jnp.float32), jax.random.key(0)
    yield 'color gray', shown(color.convert(real, 'gray'))
    yield f'jitter: light {LIGHT:g}', shown(augment.relight(real, key, LIGHT))
    for name, strength in JITTERS.items():
        changed = jitter.jittered(real, key, Augmentation()._replace(**{name: strength}))
        yield f'jitter: {name} {strength:g}', shown(changed)


def shown(values: jax.Array) -> np.ndarray:
    """Values as bytes."""
    return np.clip(np.rint(np.asarray(values)), 0, 255).astype(np.uint8)


if __name__ == '__main__':
    main()
