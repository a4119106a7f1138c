"""audit.html in a browser: filters, marks, and the groups.csv that follows from them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax.data.audit import Audit, Pair, Shortcut, audit_page, page_data
from alljax.data.audit.audit_files import groups_csv, write
from alljax.data.audit.folder_listing import FolderListing
from alljax.data.groups import merged, repeats
from alljax.storage.text_files import csv_rows

BAD = os.fsdecode(b'a/\xff.png')  # no UTF-8
FILES = (
    'a/+1.png', 'a/1.png', 'a/2.png', 'a/3,"x".png', 'a/=cmd.png', BAD, 'b/</script><b>.png', 'b/{{ 7 * 7 }}.png',
    'b/c\nd.png', 'b/z.png', 'b/zz.png',
)  # fmt: skip
GROUPS = ('=slide', 's1', 's1', *FILES[3:9], 's2', 's2')
PAIRS = (
    Pair(0, 3, 'rotated 37°', 0.61),
    Pair(1, 2, 're-lit', 0.7),  # of one slide
    Pair(3, 4, 'shifted 4 px', 0.9),
    Pair(3, 5, 'rotated 12°, mirrored', 0.95),
    Pair(4, 5, 'rotated 90°', 0.99),
    Pair(4, 8, 'same pixels', 1.0),  # labels a and b
    Pair(6, 7, 'neighbors, shifted 71 px', 0.8, False),
    Pair(7, 9, 're-encoded', 0.85),
)


def made(home, pairs=PAIRS, told=()):
    """An audit as it would be with these pairs."""
    links = [pair[:2] for pair in pairs]
    listing = FolderListing(
        home, FILES, tuple(file[0] for file in FILES), GROUPS, frozenset(FILES), home / 'groups.csv', ()
    )
    joined = tuple(merged(GROUPS, links, listing.unnamed_groups))
    same = tuple(repeats(FILES, [pair[:2] for pair in pairs if pair.one_cell]))
    return Audit(listing, tuple(pairs), joined, same, told, 0.6, ((0, 5),))


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """A folder of small pictures, with the page about them."""
    home = tmp_path_factory.mktemp('cells')
    for number, file in enumerate(FILES):
        path = home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(number).integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(picture).save(path, 'PNG')
    write(made(home), home / 'out')
    return home


@pytest.fixture
def page(home, open_page):
    """The page as it first opens."""
    page = open_page(home / 'out' / 'audit.html')
    page.evaluate('localStorage.clear()')
    page.reload()
    return page


def shown(page):
    """The pairs on the page, as indices of PAIRS."""
    kinds = [pair.kind for pair in PAIRS]
    return [kinds.index(kind) for kind in page.locator('#pairs .kind').all_text_contents()]


def downloaded(page, name):
    with page.expect_download() as download:
        page.get_by_role('button', name=f'Download {name}', exact=True).click()
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_bytes()


def mark(page, *places):
    for place in places:
        kind = page.get_by_text(PAIRS[place].kind, exact=True)
        page.locator('#pairs figure').filter(has=kind).locator('.mark').click()


def without(home, *places):
    """groups.csv by Python, if these pairs were none."""
    left = [pair for place, pair in enumerate(PAIRS) if place not in places]
    return groups_csv(made(home, left)).encode(errors='backslashreplace')


def test_filters_and_orders(page):
    assert shown(page)[0] == 5  # labels in conflict
    assert shown(page) == [5, 7, 0, 1, 6, 2, 3, 4][:1] + [0, 1, 6, 7, 2, 3, 4]
    assert page.locator('#count').text_content() == 'All 8 pairs'
    for control, value, expected in (
        ('kind', 'rotated', [0, 4]),
        ('label', '=b', [5, 6, 7]),
        ('order', 'most', [5, 4, 3, 2, 7, 6, 1, 0]),
        ('order', 'least', [0, 1, 6, 7, 2, 3, 4, 5]),
        ('order', 'file', [0, 1, 2, 3, 4, 5, 6, 7]),
        ('order', 'kind', [6, 7, 1, 0, 4, 3, 5, 2]),
    ):
        page.select_option(f'#{control}', value)
        assert shown(page) == expected, (control, value)
        page.click('#reset')
    page.select_option('#group', label='s2 (2)')
    assert shown(page) == [6, 7]  # s2 and what was joined to it
    page.click('#reset')
    page.fill('#text', 'CMD')
    assert shown(page) == [5, 2, 4]
    assert page.locator('#count').text_content() == '3 pairs of 8'
    page.fill('#least', '0.95')
    assert shown(page) == [5, 4]
    page.fill('#most', '0.99')
    assert shown(page) == [4]
    page.click('#reset')
    page.check('#conflict')
    assert shown(page) == [5]
    page.fill('#text', 'nothing has this')
    assert shown(page) == []
    assert page.locator('#count').text_content() == '0 pairs of 8'
