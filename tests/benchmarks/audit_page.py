"""How long the page of an audit takes to open, with many pictures and pairs.

    python tests/benchmarks/audit_page.py [--pictures 5000] [--pairs 5000] [--seed 0] [--runs 5]

Draws no cells and audits nothing: it writes an audit of smoothed noise, 257 pixels a side, opens its page in headless
Chromium, and prints the seconds from the request to the first pairs with their pictures, those of another order, of a
mark and of a download, and the processor time of all processes of the browser to open it; the median of the runs, each
in a browser of its own.
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

from alljax.data.audit import Audit, Pair
from alljax.data.audit.audit_files import write
from alljax.data.audit.folder_listing import FolderListing
from alljax.data.groups import merged, repeats

CLASSES = 'abcde'


def main() -> None:
    """Prints one line of seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--pictures', type=int, default=5000)
    parser.add_argument('--pairs', type=int, default=5000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--runs', type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        audit = made(Path(folder), options.pictures, options.pairs, options.seed)
        drawn = time.perf_counter()
        page = write(audit)[-1]
        megabytes = page.stat().st_size / 1e6
        shown = page.read_text().count('data:image/')
        print(f'{options.pictures} pictures drawn in {drawn - start:.0f} s, page written in '
              f'{time.perf_counter() - drawn:.0f} s: {megabytes:.0f} MB, {shown} pictures in it')  # fmt: skip
        seconds = np.median([opened(page) for _ in range(options.runs)], axis=0)
    print(
        'opens in {:.2f} s; another order takes {:.2f} s, a mark {:.2f} s, all files for groups.csv {:.2f} s; '
        'processor time to open: {:.2f} s; load {:.1f}'.format(*seconds, os.getloadavg()[0])
    )


def made(home: Path, pictures: int, count: int, seed: int) -> Audit:
    """An audit of that many pictures, in which every picture is in a pair."""
    rng = np.random.default_rng(seed)
    files = sorted(f'{CLASSES[number % 5]}/{number:05}.jpg' for number in range(pictures))
    for file in files:
        path = home / file
        path.parent.mkdir(exist_ok=True)
        noise = Image.fromarray(rng.integers(60, 220, (24, 24, 3), np.uint8))
        noise.resize((257, 257), Image.Resampling.BICUBIC).save(path, quality=90)
    ring = [(number, (number + 1) % pictures) for number in range(pictures)]
    chosen = sorted({(min(pair), max(pair)) for pair in ring[:count]})
    pairs = [Pair(*pair, f'rotated {rng.integers(180)}°', float(rng.uniform(0.6, 1))) for pair in chosen]
    labels = tuple(file[0] for file in files)
    listing = FolderListing(home, tuple(files), labels, tuple(files), frozenset(files), home / 'groups.csv', ())
    joined = tuple(merged(files, chosen, frozenset(files)))
    return Audit(listing, tuple(pairs), joined, tuple(repeats(files, chosen)), (), 0.6)


def opened(page: Path) -> list[float]:
    """Seconds to the first pairs, of another order, of a mark and of a download; processor seconds to the first."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which('chromium') or shutil.which('google-chrome')
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        tab = browser.new_page(viewport={'width': 1200, 'height': 900})
        before, marks = processor_seconds(browser), [time.perf_counter()]
        tab.goto(page.as_uri())
        painted(tab)
        marks.append(time.perf_counter())
        processor = processor_seconds(browser) - before
        tab.select_option('#order', 'most')
        painted(tab)
        marks.append(time.perf_counter())
        tab.locator('#pairs .mark').first.click()
        painted(tab)
        marks.append(time.perf_counter())
        with tab.expect_download():
            tab.click('#download')
        marks.append(time.perf_counter())
        browser.close()
    return [*np.diff(marks).tolist(), processor]


def painted(tab: object) -> None:
    """Waits until pictures are decoded and two frames were drawn."""
    tab.screenshot()


if __name__ == '__main__':
    main()
