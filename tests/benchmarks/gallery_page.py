"""How long the gallery of `alljax predict --html` takes to open and to answer, with many pictures.

    python tests/benchmarks/gallery_page.py [--pictures 5000] [--classes 5] [--runs 5]

Predicts nothing: it writes a gallery of smoothed noise, opens it in headless Chromium, and prints the seconds to the
first pictures, of another order, of a filter and of more pictures, and the processor time of each by all processes of
the browser; the median of the runs, each in a browser of its own.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from processor_time import processor_seconds

from alljax.evaluation.thumbnails import thumbnail
from alljax.predict import Predictor, Row, gallery
from alljax.predict.gallery import Gallery
from alljax.storage.card import Card

ACTS = {
    'opens': lambda page, file: page.goto(file.as_uri()),
    'another order': lambda page, _: page.select_option('[name=order]', 'certain'),
    'a filter': lambda page, _: page.fill('[name=least]', '60'),
    '120 more': lambda page, _: page.click('#more'),
}


def main() -> None:
    """Prints a line for each act."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--pictures', type=int, default=5000)
    parser.add_argument('--classes', type=int, default=5)
    parser.add_argument('--runs', type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'gallery.html'
        gallery.write(file, made(options.pictures, options.classes))
        print(f'{options.pictures:,} pictures: {file.stat().st_size / 1e6:.1f} MB; load {os.getloadavg()[0]:.1f}')
        times = np.median([opened(file) for _ in range(options.runs)], axis=0)
    for name, (wall, processor) in zip(ACTS, times, strict=True):
        print(f'{name:14} {wall:5.2f} s, processor {processor:5.2f} s')


def made(count: int, classes: int) -> Gallery:
    """A gallery of made predictions, half of them with a mark."""
    rng = np.random.default_rng(0)
    names = tuple(f'class {number}' for number in range(classes))
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    noise = [Image.fromarray(rng.integers(60, 220, (24, 24, 3), np.uint8)) for _ in range(100)]
    pictures = [thumbnail(np.asarray(image.resize((257, 257), Image.Resampling.BICUBIC))) for image in noise]
    rows = [
        Row(f'/cells/{names[label]}/cell_{number:05}.png', shares[number], thumbnail=pictures[number % 100],
            label=names[label], unlike='darker than the training cells' if number % 2 else '')
        for number, label in enumerate(labels)
    ]  # fmt: skip
    run = Predictor(names, Card(names, system={}, data_size=257), lambda images, batch_size: images)
    return Gallery(run, Path('run'), rows, None)


def opened(file: Path) -> list[tuple[float, float]]:
    """Seconds on the wall and of the processor of each act, until pictures are decoded and drawn."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which('chromium'), args=['--no-sandbox'])
        page = browser.new_page(viewport={'width': 1200, 'height': 900})
        for act in ACTS.values():
            began, taken = time.perf_counter(), processor_seconds(browser)
            act(page, file)
            page.screenshot()
            found.append((time.perf_counter() - began, processor_seconds(browser) - taken))
        browser.close()
    return found


if __name__ == '__main__':
    main()
