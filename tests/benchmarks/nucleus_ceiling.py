"""The nucleus that a threshold can find at best: Dice against the mask with each picture's own best threshold.

    python tests/benchmarks/nucleus_ceiling.py segwbc/set1

FOLDER holds pictures and, beside each, its mask as PNG, whose level 255 is the nucleus. No method knows that threshold:
one that is a threshold on that channel can be as good, and not better. 'one pixel' is the mask itself, a pixel smaller:
what the exact place of a rim is worth.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

BLUR = 1.0  # pixels


def main() -> None:
    rows = []
    for path in sorted(Path(sys.argv[1]).iterdir()):
        if path.suffix.lower() in ('.bmp', '.jpg', '.tif'):
            nucleus = np.asarray(Image.open(path.with_suffix('.png')).convert('L')) == 255
            rows.append({name: best(values, nucleus) for name, values in channels(path).items()})
            smaller = ndimage.binary_erosion(nucleus)
            rows[-1] |= {'best of these': max(rows[-1].values())}
            rows[-1] |= {'one pixel': 2 * smaller.sum() / (smaller.sum() + nucleus.sum())}
    print(f'{len(rows)} pictures; even and odd are the halves by sorted names')
    print('| | all | even | odd |\n|---|---|---|---|')
    for name in rows[0]:
        found = [row[name] for row in rows]
        print(f'| {name} | {np.mean(found):.3f} | {np.mean(found[::2]):.3f} | {np.mean(found[1::2]):.3f} |')


def channels(path: Path) -> dict[str, np.ndarray]:
    """Densities, of light that is taken, and saturation, all blurred a little."""
    pixels = np.asarray(Image.open(path).convert('RGB')).astype(float)
    red, green, blue = (-np.log(np.maximum(pixels, 1) / 255)).transpose(2, 0, 1)
    found = {
        'red': red,
        'green': green,
        'red less blue': red - blue,
        'green less half of blue': green - blue / 2,
        'saturation': 1 - pixels.min(-1) / np.maximum(pixels.max(-1), 1),
    }
    return {name: ndimage.gaussian_filter(values, BLUR) for name, values in found.items()}


def best(values: np.ndarray, nucleus: np.ndarray) -> float:
    """The highest Dice of all that lies above a threshold, over all thresholds."""
    order = np.argsort(-values.ravel(), kind='stable')
    hits = np.cumsum(nucleus.ravel()[order])
    sizes = np.arange(1, len(hits) + 1)
    ends = np.append(np.diff(values.ravel()[order]) != 0, True)
    return float((2 * hits / (sizes + nucleus.sum()))[ends].max())


if __name__ == '__main__':
    main()
