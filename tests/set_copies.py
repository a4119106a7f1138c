"""Tiny copies of sets, for tests: pictures of noise under given names, and an archive of them."""

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def written(root, names, size=12):
    """The folder, with a picture of noise under each name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (size, size, 3), np.uint8)).save(path)
    return root


def archive(path, sizes=(4, 2, 2)):
    """The arrays of an archive as MedMNIST has them, of two classes; the first test picture is also a training one."""
    made = {}
    for key, count in zip(('train', 'val', 'test'), sizes, strict=True):
        made[f'{key}_images'] = RNG.integers(0, 256, (count, 28, 28, 3), np.uint8)
        made[f'{key}_labels'] = (np.arange(count) % 2 * 3).astype(np.uint8)[:, None]
    made['test_images'][0] = made['train_images'][0]
    np.savez_compressed(path, **made)
    return made
