"""audit.html in a browser: filters, marks, and the groups.csv that follows from them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax.commands.audit import summary
from alljax.config import defaults, override
from alljax.data.audit import Audit, Pair, Shortcut, audit_page, page_data, shortcut_advice
from alljax.data.audit.audit_files import groups_csv, write
from alljax.data.audit.folder_listing import FolderListing
from alljax.data.audit.shortcuts import MEANS
from alljax.data.groups import merged, repeats
from alljax.storage import page_script
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
    return open_page(home / 'out' / 'audit.html')


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
    """Presses the button of these pairs."""
    page.evaluate(
        """kinds => document.querySelectorAll('#pairs figure').forEach(figure =>
            kinds.includes(figure.querySelector('.kind').textContent) && figure.querySelector('.mark').click())""",
        [PAIRS[place].kind for place in places],
    )


def without(home, *places):
    """groups.csv by Python, if these pairs were none."""
    left = [pair for place, pair in enumerate(PAIRS) if place not in places]
    return groups_csv(made(home, left)).encode(errors='backslashreplace')


def test_filters_and_orders(page):
    assert shown(page) == [5, 0, 1, 6, 7, 2, 3, 4]  # labels in conflict, then the least certain
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


def test_a_marked_pair_joins_nothing(home, page):
    assert downloaded(page, 'groups.csv') == (home / 'out' / 'groups.csv').read_bytes() == without(home)
    assert b"'=slide" in without(home)  # no formula
    assert page.get_by_text('Put groups.csv in the place of').is_visible()
    assert str(home / 'groups.csv') in page.locator('.result').text_content()
    assert page.get_by_role('button', name='Download not_same.csv').is_disabled()
    assert page.get_by_role('button', name='Undo all marks').is_disabled()
    for places, groups, cells in (((0,), 4, 6), ((2, 3, 4), 5, 7), ((0, 1, 2, 3, 4, 6, 7), 8, 10)):
        mark(page, *places)
        assert downloaded(page, 'groups.csv') == without(home, *places), places
        assert groups == len({row['group'] for row in csv_rows(without(home, *places).decode())})
        assert f'{groups} groups (3 as found), pictures of {cells} different' in page.locator('#marks').text_content()
        mark(page, *places)
    assert downloaded(page, 'groups.csv') == without(home)


def test_marks_say_what_they_change(page):
    states = page.locator('#pairs .state')
    mark(page, 2)
    assert 'Marked. Other pairs still join them.' in states.all_text_contents()
    page.get_by_role('button', name='Show the pairs of this group').click()
    assert shown(page) == [5, 0, 2, 3, 4]
    assert page.evaluate('document.activeElement.id') == 'count'
    page.click('#reset')
    mark(page, 4, 3, 1)
    assert 'Marked. Both were in group s1 before the audit, and stay there.' in states.all_text_contents()
    assert states.all_text_contents().count('Marked. No longer joined.') == 3
    page.check('#marked')
    assert shown(page) == [1, 2, 3, 4]
    assert page.locator('#pairs .mark').count() == 4
    page.uncheck('#marked')
    exact = page.locator('#pairs figure').filter(has_text='same pixels')
    assert exact.locator('button:visible').count() == 0
    assert 'no doubt' in exact.text_content()


def test_pairs_that_were_never_compared_are_told(page):
    told = page.get_by_text('were never compared')
    page.get_by_role('button', name='Not the same cell').first.click()  # of pair 0
    assert told.is_visible()  # nothing but this pair joined files 0 and 5
    assert page.locator('#uncompared-count').text_content() == '1 pair'
    mark(page, 0)
    mark(page, 2)
    assert not told.is_visible()


def test_marks_are_kept_and_undone(home, page):
    mark(page, 0, 6)
    assert csv_rows(downloaded(page, 'not_same.csv').decode()) == [
        {'file': FILES[0], 'other_file': FILES[3]},
        {'file': FILES[6], 'other_file': FILES[7]},
    ]
    page.requests.clear()
    page.reload()
    assert page.locator('#pairs [aria-pressed=true]').count() == 2
    assert downloaded(page, 'groups.csv') == without(home, 0, 6)
    page.get_by_role('button', name='Undo all marks').click()
    assert page.locator('#pairs [aria-pressed=true]').count() == 0
    page.requests.clear()
    page.reload()
    assert downloaded(page, 'groups.csv') == without(home)


def test_marks_work_where_a_browser_keeps_nothing(home, page):
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden'); }})")
    page.requests.clear()
    page.reload()
    mark(page, 0)
    assert downloaded(page, 'groups.csv') == without(home, 0)


def test_keys_are_enough(page):
    page.locator('#kind').focus()
    for _ in range(40):
        page.keyboard.press('Tab')
        if page.evaluate('document.activeElement.className') == 'mark':
            break
    assert page.evaluate('document.activeElement.ariaPressed') == 'false'
    assert page.evaluate('getComputedStyle(document.activeElement).outlineStyle') == 'solid'
    page.keyboard.press('Space')
    assert page.evaluate('document.activeElement.ariaPressed') == 'true'  # and keeps the focus
    assert page.evaluate('document.activeElement.ariaLabel') == f'Not the same cell: {FILES[0]} and {FILES[3]}'
    assert '1 pair marked' in page.locator('#marks').text_content()


def test_what_matters_is_printed(page):
    mark(page, 0)
    page.emulate_media(media='print')
    assert page.locator('#pairs figure:visible').count() == len(PAIRS)
    assert page.locator('#pairs .picture:visible').count() == 2 * len(PAIRS)
    assert page.locator('button:visible, select:visible, input:visible').count() == 0
    assert page.get_by_text('1 pair marked').is_visible()
    assert page.get_by_text('Marked. No longer joined.').is_visible()
    assert page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'


def test_a_picture_is_stored_once_and_the_page_fits_a_narrow_screen(home, open_page):
    page = open_page(home / 'out' / 'audit.html', width=360, dark=True)
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    assert page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(20, 24, 30)'
    images = page.eval_on_selector_all(
        '#pairs .picture', 'nodes => nodes.map(n => getComputedStyle(n).backgroundImage)'
    )
    assert all(image.startswith('url("data:image/jpeg') for image in images)
    assert (
        (home / 'out' / 'audit.html').read_text().count('data:image/') == 10 == len(set(images))
    )  # zz.png is in no pair


def test_many_pairs_come_in_steps_and_pictures_up_to_a_limit(home, open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(audit_page, 'SHOWN', 3)
    monkeypatch.setattr(audit_page, 'PICTURES_MB', 0.05)
    text = audit_page.render(made(home), ('file', 'group', 'repeat'), ())
    (tmp_path / 'audit.html').write_bytes(text.encode(errors='backslashreplace'))
    page = open_page(tmp_path / 'audit.html')
    kept = text.count('data:image/')
    assert 2 <= kept < 10
    assert f'{10 - kept} pictures of other pairs are left out' in ' '.join(page.locator('main').text_content().split())
    assert shown(page) == [5, 0, 1]
    assert page.locator('#count').text_content() == 'All 8 pairs, the first 3 are shown'
    assert 'url' in page.locator('#pairs .picture').first.evaluate('node => getComputedStyle(node).backgroundImage')
    page.get_by_role('button', name='Show 3 more').click()
    page.get_by_role('button', name='Show 2 more').click()
    assert shown(page) == [5, 0, 1, 6, 7, 2, 3, 4]
    assert page.get_by_text('left out, so that the page stays small').count() > 0
    assert page.get_by_role('button', name='Show').count() == 0


def test_a_picture_of_a_later_pair_is_its_own(home, page, open_page, tmp_path, monkeypatch):
    pictures = """nodes => Object.fromEntries(nodes.map(node =>
        [node.ariaLabel, getComputedStyle(node).backgroundImage]))"""
    expected = page.eval_on_selector_all('#pairs .picture', pictures)
    monkeypatch.setattr(audit_page, 'SHOWN', 1)
    monkeypatch.setattr(page_script, 'BLOCK', 3)
    text = audit_page.render(made(home), ('file', 'group', 'repeat'), ())
    (tmp_path / 'audit.html').write_bytes(text.encode(errors='backslashreplace'))
    later = open_page(tmp_path / 'audit.html')
    assert later.locator('script.pictures').count() == 3  # for 8 of the 10 pictures
    for _ in PAIRS[1:]:
        later.click('#more')
    assert later.eval_on_selector_all('#pairs .picture', pictures) == expected


def test_without_a_script_the_first_pairs_are_listed(home, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((home / 'out' / 'audit.html').as_uri())
    assert page.locator('#pairs figure').count() == len(PAIRS)
    assert page.get_by_text('labels a and b').is_visible()
    assert page.locator('button:visible, select:visible').count() == 0
    assert page.get_by_text('Those with different labels first').is_visible()
    context.close()


def test_marks_are_those_of_one_audit(home):
    audit = made(home)
    keys = [page_data.page_data(one, (), one.pairs, ())['key'] for one in (audit, made(home), made(home, PAIRS[1:]))]
    assert keys[0] == keys[1] != keys[2]


def test_a_shortcut_is_told_in_words_with_what_to_do(home, open_page, tmp_path):
    told = Shortcut('border', 'the outer pixels', 0.78, (0.7, 0.85), 0.2, 'says much about the label')
    not_told = Shortcut('overlay', 'bars', 0.22, (0.1, 0.3), 0.2, 'no: not told from chance')
    audit = made(home, told=(told, not_told))
    text = audit_page.render(audit, ('file', 'group', 'repeat'), ())
    (tmp_path / 'audit.html').write_bytes(text.encode(errors='backslashreplace'))
    banner = ' '.join(open_page(tmp_path / 'audit.html').locator('.banner.shortcut').text_content().split())
    terminal = '\n'.join(summary(audit, []))
    assert 'The label can partly be told without a look at the cell: from the border.' in banner
    whole = audit_page.render(
        made(home, told=(told._replace(verdict='says the label'),)), ('file', 'group', 'repeat'), ()
    )
    assert 'The label can be told without a look at the cell' in ' '.join(whole.split())
    for said in (banner, terminal):
        assert 'The border of the picture alone, where no cell is, tells the class in 78% of the cells' in said
        assert 'chance is 20%' in said
        assert 'a network can be right without looking at the cell' in said
        assert '--config.data.stain=white_balance' in said
        assert '--config.test.root=DIR' in said
        assert 'scale bar' not in said
        assert 'name the slide of each cell' not in said  # some are named
    assert 'What to do' in banner
    assert 'what to do' not in '\n'.join(summary(made(home, told=(not_told,)), []))


def test_each_shortcut_has_words_and_settings_that_there_are():
    base = defaults()
    for name in MEANS:
        told = Shortcut(name, '', 0.9, (0.8, 1.0), 0.5, 'says the label')
        words = shortcut_advice.advice(told, slides_known=True)
        assert '90% of the cells' in words.finding
        assert shortcut_advice.NAME_SLIDES not in words.fixes
        assert shortcut_advice.NAME_SLIDES in shortcut_advice.advice(told, slides_known=False).fixes
        assert shortcut_advice.advice(told._replace(interval=(0.4, 1.0)), slides_known=True) is None
        settings = ' '.join(fix.setting for fix in shortcut_advice.fixes([words])).split()
        assert settings
        override(base, dict(setting.removeprefix('--config.').split('=') for setting in settings))
    assert shortcut_advice.fixes([]) == []


def test_a_color_that_the_border_does_not_share_may_be_the_cell_s_own(home):
    color = Shortcut('color', '', 0.9, (0.8, 1.0), 0.5, 'says the label')
    border = Shortcut('border', '', 0.5, (0.4, 0.6), 0.5, 'no: not told from chance')
    own, light = (
        '\n'.join(summary(made(home, told=told), []))
        for told in ((color, border), (color, border._replace(accuracy=0.9, interval=(0.8, 1.0))))
    )
    assert 'may be the color of the cells themselves' in own
    assert 'white_balance' not in own
    assert 'may be the color of the cells themselves' not in light
    assert 'white_balance' in light
