"""A small field painted with disks, whose cells are known."""

import numpy as np
from skimage import draw

LIGHT, RED_CELL, CYTOPLASM, NUCLEUS, PLATELET = (
    (228, 224, 230), (214, 158, 160), (196, 176, 214), (104, 64, 150), (120, 90, 170),
)  # fmt: skip
RED, WHITE = 30, 60  # diameters
SMALL = 48  # of the two that touch
CENTERS = np.array([(75, 66), (240, 79), (290, 79), (150, 190), (330, 170), (420, 80)], float)  # x, y: two touch


def disk(pixels, x, y, diameter, color):
    pixels[draw.disk((y, x), diameter / 2, shape=pixels.shape[:2])] = color


def field(cells=CENTERS, size=(480, 260)):
    """A field's pixels with white cells at these centers, from the fourth on with two lobes, and with platelets."""
    generator = np.random.default_rng(0)
    pixels = np.full((size[1], size[0], 3), LIGHT, np.uint8)
    for y in range(21, size[1], 42):
        for x in range(21, size[0], 42):
            place = np.array([x, y]) + generator.integers(-4, 5, 2)
            if len(cells) == 0 or np.hypot(*(cells - place).T).min() > (WHITE + RED) / 2 + 2:
                disk(pixels, *place, RED, RED_CELL)
    for number, (x, y) in enumerate(cells):
        disk(pixels, x, y, WHITE if number not in (1, 2) else SMALL, CYTOPLASM)
        if number < 3:
            disk(pixels, x, y, 38, NUCLEUS)
        else:
            disk(pixels, x - 14, y - 7, 23, NUCLEUS)
            disk(pixels, x + 14, y + 7, 23, NUCLEUS)
    for x, y in ((42, 190), (240, 215)):
        disk(pixels, x, y, 12, PLATELET)
    light = 1 - 0.15 * np.linspace(-1, 1, size[0])[None, :, None] ** 2
    noisy = pixels * light + generator.normal(0, 3, pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
