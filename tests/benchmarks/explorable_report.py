"""How long a report of thousands of tested cells takes to write, to open and to answer a click, and how large it is.

    python tests/benchmarks/explorable_report.py [--cells 5000] [--classes 5] [--slides 100] [--data DIR]

The cells are noise, or with --data the pictures of a class folder, over and over. Opening ends when the list of cells
is drawn; a click ends when the next frame is. The processor time is that of all processes of the browser.
"""

import argparse
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests' / 'evaluation'), str(Path(__file__).parent)]

from processor_time import processor_seconds
from test_report import make_results
from test_report_exploration import rows_of

from alljax.evaluation import report
from alljax.evaluation.report import TestedCells

TIMES = 5
FRAME = '() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))'


def main() -> None:
    """Prints a line for each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cells', type=int, default=5000)
    parser.add_argument('--classes', type=int, default=5)
    parser.add_argument('--slides', type=int, default=100)
    parser.add_argument('--data', type=Path)
    options = parser.parse_args()
    tested = drawn(options.cells, options.classes, options.slides, options.data)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / 'report.html'
        began = time.perf_counter()
        results = make_results()
        results['test']['confusion']['labels'] = names = [f'class {number}' for number in range(options.classes)]
        results['test']['confusion']['matrix'] = np.eye(options.classes, dtype=int).tolist()
        results['test']['per_class'] = dict.fromkeys(names, results['test']['per_class']['L1'])
        report.write(file, results, tested=tested)
        print(f'{options.cells:,} cells: written in {time.perf_counter() - began:.1f} s, '
              f'{file.stat().st_size / 1e6:.1f} MB')  # fmt: skip
        browser = driver.chromium.launch(executable_path=shutil.which('chromium'), args=['--no-sandbox'])
        pages = [browser.new_page() for _ in range(TIMES)]
        before = processor_seconds(browser)
        say('opened', [seconds(page, lambda page: page.goto(file.as_uri())) for page in pages])
        print(f'processor time of opening {(processor_seconds(browser) - before) / TIMES:.2f} s; '
              f'load {os.getloadavg()[0]:.1f}')  # fmt: skip
        page = pages[0]
        buttons = itertools.cycle(page.locator('#matrix button:enabled').all())
        say('a click on the matrix', [seconds(page, lambda _: next(buttons).click()) for _ in range(TIMES)])
        page.locator('#filters button').click()
        more = page.locator('#more:visible')
        say('60 more cells', [seconds(page, lambda _: more.click()) for _ in range(TIMES)])
        for name, value in (('only', 'mistakes'), ('sort', 'file')):
            page.locator('#filters button').click()
            control = page.locator(f'#filters [name={name}]')
            say(f'{name}: {value}', [seconds(page, lambda _, c=control, v=value: c.select_option(v))])
        browser.close()


def drawn(count: int, classes: int, slides: int, data: Path | None) -> TestedCells:
    """Predictions of made cells, right in half of the cases and better."""
    rng = np.random.default_rng(0)
    names = [f'class {number}' for number in range(classes)]
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    files = [f'class/cell_{number:05}.png' for number in range(count)]
    groups = [f'slide {slide}' for slide in rng.integers(0, slides, count)]
    found = sorted(path for path in data.rglob('*') if path.suffix in ('.jpg', '.png', '.bmp')) if data else []
    images = [np.asarray(Image.open(file).convert('RGB').resize((257, 257))) for file in found]
    pictures = images or list(rng.integers(0, 256, (100, 32, 32, 3), np.uint8))
    return TestedCells(
        rows_of(names, labels, probabilities, files, groups),
        {file: pictures[number % len(pictures)] for number, file in enumerate(files)},
    )


def seconds(page: Page, act) -> float:
    """The time until the page shows what an act of its reader does."""
    began = time.perf_counter()
    act(page)
    page.evaluate(FRAME)
    return time.perf_counter() - began


def say(what: str, times: list[float]) -> None:
    """Prints the median, and the longest."""
    print(f'{what:24} {statistics.median(times):5.2f} s, at most {max(times):.2f} s')


if __name__ == '__main__':
    main()
