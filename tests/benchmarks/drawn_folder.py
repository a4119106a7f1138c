"""Any number of cells in class folders, for measurements of how time and memory grow: drawn in a millisecond each.

JPEG files of 64 pixels, each one of 200 drawn cells: turned, scaled, shifted, in a light and with grain of its own, so
that no two are alike. Of ten, which are a slide, the last is the ninth once more, turned and in another light: a repeat
for the audit to find.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from alljax.data import synthetic

SIZE, CLASSES, DRAWN, CELLS_A_SLIDE = 64, 4, 200, 10
KINDS = ('L1', 'normal')
GRAIN = 0.45  # the share of it in a cell


def draw(root: Path, count: int) -> None:
    """Class folders of so many cells, in slides of ten; what is there already stays."""
    if (root / 'cells.csv').exists():
        return
    rng, slide = np.random.default_rng(0), synthetic.slide(0, 0)
    drawn = [Image.fromarray(synthetic.draw(KINDS[n % 2], slide, rng, 96).image) for n in range(DRAWN)]
    lines, cell = ['file,label,group'], drawn[0]
    for number in range(count):
        again = number % CELLS_A_SLIDE == CELLS_A_SLIDE - 1
        cell = cell.transpose(Image.Transpose.ROTATE_90) if again else grained(drawn[rng.integers(DRAWN)], rng)
        path = root / f'class{(number - again) % CLASSES}' / f'{number:07}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        relit(cell, rng).save(path, quality=90)
        lines.append(f'{path.relative_to(root)},{path.parent.name},slide{number // CELLS_A_SLIDE}')
    (root / 'cells.csv').write_text('\n'.join(lines) + '\n')


def grained(drawn: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A drawn cell turned, scaled and shifted, with grain of its own, as coarse as chromatin."""
    angle, zoom, middle = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.2), drawn.width / 2
    across, down = zoom * np.cos(angle), zoom * np.sin(angle)
    left, top = middle + rng.uniform(-4, 4, 2) - SIZE / 2 * np.array([across - down, across + down])
    turn = (across, -down, left, down, across, top)
    turned = drawn.transform((SIZE, SIZE), Image.Transform.AFFINE, turn, Image.Resampling.BILINEAR)
    coarse = Image.fromarray(rng.integers(0, 256, (SIZE // 3, SIZE // 3), np.uint8))
    grain = coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC).convert('RGB')
    return Image.blend(turned, grain, GRAIN)


def relit(cell: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A cell in light of another color and strength."""
    light = np.asarray(cell, np.float32) * rng.uniform(0.85, 1.1, 3).astype(np.float32)
    return Image.fromarray(np.minimum(light, 255).astype(np.uint8))
