"""The audit on drawn cells with planted repeats, and what the loaders and splits make of its groups.csv."""

import csv
import json
import shutil
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from alljax.data import datasets, synthetic
from alljax.data.audit import audit, not_same_table, overlays
from alljax.data.audit.audit_files import write
from alljax.data.audit.folder_listing import FolderListing, list_folder
from alljax.data.audit.measurements import measure_files
from alljax.data.audit.shortcuts import shortcuts
from alljax.data.datasets import DataOptions
from alljax.data.groups import merged, repeats
from alljax.data.split import SplitOptions, split
from alljax.errors import UserError
from alljax.storage.text_files import csv_rows


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ''
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, sorted(name for name, _ in attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope='module')
def planted(tmp_path_factory):
    """64 drawn cells, 16 of them altered copies of others. Copy it before changing it."""
    root = tmp_path_factory.mktemp('planted') / 'set'
    synthetic.write(root, 64, 0, 16)
    facts = json.loads((root / 'ALL_IDB2' / 'synthetic.json').read_text())
    return root, [(f'img/{first}', f'img/{second}', kind) for first, second, kind in facts['repeats']]


@pytest.fixture(scope='module')
def found(planted):
    return audit(planted[0])


def table(path):
    with path.open(newline='') as file:
        return {row['file']: row for row in csv.DictReader(file)}


@cache
def picture(number, seed):
    slide = synthetic.slide(seed, 1 + number // 6)
    return synthetic.draw(('L1', 'L2', 'normal')[number % 3], slide, np.random.default_rng([seed, number]))


def pictures(count, seed=0):
    return [picture(number, seed) for number in range(count)]


def save(folder, images, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f'{number:03}.png', **options)


def test_every_planted_pair_is_found_and_no_other(planted, found):
    files = found.listing.files
    pairs = {frozenset((files[pair.first], files[pair.second])) for pair in found.pairs}
    assert pairs == {frozenset(pair[:2]) for pair in planted[1]}


def test_kinds_are_named(planted, found):
    files = found.listing.files
    said = {frozenset((files[pair.first], files[pair.second])): pair.kind for pair in found.pairs}
    for first, second, kind in planted[1]:
        name = said[frozenset((first, second))]
        if kind in ('same file', 'same pixels', 're-encoded'):
            assert name == kind
        elif kind == 're-lit':
            assert name in ('re-lit', 're-encoded')  # a faint change of light is none to the eye either
        elif kind != 'everything':
            assert kind in name, (kind, name)


def test_groups_csv_is_what_the_loaders_read(planted, found, tmp_path):
    shutil.copytree(planted[0], tmp_path / 'set')
    root = tmp_path / 'set'
    home = root / 'ALL_IDB2'
    there = found.listing._replace(home=home, groups_csv=home / found.listing.groups_csv.name)
    assert list_folder(root) == there
    written = write(found._replace(listing=there))
    assert [path.name for path in written] == ['groups.csv', 'pairs.csv', 'audit.html']
    rows = table(root / 'ALL_IDB2' / 'groups.csv')
    assert set(next(iter(rows.values()))) == {'file', 'group', 'repeat'}
    cells = datasets.load(DataOptions('all_idb2', str(root), task='detection', size=64), 0)
    place = {name: number for number, name in enumerate(cells.names)}
    for first, second, _ in planted[1]:
        assert cells.groups[place[first]] == cells.groups[place[second]]
        assert cells.repeats[place[first]] == cells.repeats[place[second]] >= 0
    assert (cells.repeats >= 0).sum() == 2 * len(planted[1])
    parts = split(cells, SplitOptions(), 0)
    assert not set(cells.groups[parts.train]) & set(cells.groups[parts.test])
    with pytest.raises(UserError, match='puts pictures of one cell on both sides'):
        split(cells, SplitOptions('random'), 0)
    assert split(cells, SplitOptions('paper'), 0).leaky


def test_the_page_shows_the_pairs_and_loads_nothing(planted, found, tmp_path):
    *_, page = write(found, tmp_path / 'out')
    text = page.read_text()
    assert text.count('data:image/') >= 2 * len(found.pairs)
    assert "default-src 'none'" in text
    for first, second, _ in planted[1]:
        assert first in text
        assert second in text
    assert not (planted[0] / 'ALL_IDB2' / 'groups.csv').exists()  # --out left the folder alone


def test_a_groups_csv_of_the_user_s_is_joined_and_kept(tmp_path):
    images = [cell.image for cell in pictures(6)]
    save(tmp_path / 'a', [images[0], images[1], images[2]])
    save(tmp_path / 'b', [images[3], images[4], np.rot90(images[0])])
    (tmp_path / 'cells.csv').write_text(
        'file,label\n' + ''.join(f'{kind}/{n:03}.png,{kind}\n' for kind in 'ab' for n in range(3))
    )
    mine = 'file,group\na/000.png,x\na/001.png,x\na/002.png,y\nb/000.png,y\nb/001.png,z\nb/002.png,z\n'
    (tmp_path / 'groups.csv').write_text(mine)
    found = audit(tmp_path)
    written = write(found)
    rows = table(tmp_path / 'groups.csv')
    assert [row['group'] for row in rows.values()] == ['x', 'x', 'y', 'y', 'x', 'x']
    assert [row['repeat'] for row in rows.values()] == ['a/000.png', '', '', '', '', 'a/000.png']
    kept = next(path for path in written if 'before-audit' in path.name)
    assert kept.read_text() == mine
    assert found.conflicts == {'a/000.png': [0, 5]}  # one cell under two labels
    assert 'a/000.png' in (tmp_path / 'audit.html').read_text()
    assert len(write(audit(tmp_path))) == 3  # the second time nothing is new


@pytest.mark.parametrize('count', [2, 3, 12])
def test_a_small_folder_without_any_likely_pair_is_audited(tmp_path, count):
    save(tmp_path, [cell.image for cell in pictures(count, seed=3)])
    found = audit(tmp_path)
    assert found.pairs == ()
    written = write(found)
    assert (tmp_path / 'pairs.csv').read_text() == 'file,other_file,kind,score,one_cell\n'
    assert len(written) == 3


def test_all_pairs_are_in_a_table_of_their_own(planted, found, tmp_path):
    _, path, _ = write(found, tmp_path)
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert {frozenset((row['file'], row['other_file'])) for row in rows} == {frozenset(pair[:2]) for pair in planted[1]}
    scores = [float(row['score']) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1
    assert min(scores) >= found.threshold
    assert all(row['kind'] for row in rows)
    assert {row['one_cell'] for row in rows} <= {'0', '1'}
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'pairs.csv').write_text('of my own\n')
    kept = next(path for path in write(found, mine) if 'before-audit' in path.name)
    assert kept.read_text() == 'of my own\n'
    assert len(write(found, mine)) == 3


@pytest.mark.parametrize(
    'change',
    [ImageFilter.GaussianBlur(1.8), ImageFilter.GaussianBlur(2.5), ImageFilter.UnsharpMask(2, 150, 0)],
    ids=['blurred', 'more blurred', 'sharpened'],
)
def test_another_focus_is_a_kind_of_its_own(tmp_path, change):
    images = [cell.image for cell in pictures(6)]
    save(tmp_path, images)
    Image.fromarray(images[1]).filter(change).save(tmp_path / 'focus.png')
    Image.fromarray(images[4]).save(tmp_path / 'encoded.jpg', quality=60)
    found = audit(tmp_path)
    files = found.listing.files
    said = {frozenset((files[pair.first], files[pair.second])): pair.kind for pair in found.pairs}
    assert said == {
        frozenset(('001.png', 'focus.png')): 'refocused',
        frozenset(('004.png', 'encoded.jpg')): 're-encoded',
    }


def test_a_flat_folder_without_labels_is_audited(tmp_path):
    images = [cell.image for cell in pictures(5)]
    save(tmp_path, [*images, images[2][:, ::-1]])
    found = audit(tmp_path)
    assert [(pair.first, pair.second, pair.kind) for pair in found.pairs] == [(2, 5, 'mirrored')]
    assert found.shortcuts == ()


def test_files_that_cannot_be_read_are_told_together(tmp_path):
    save(tmp_path, [cell.image for cell in pictures(2)])
    (tmp_path / 'x.png').write_bytes(b'none')
    (tmp_path / 'y.png').write_bytes(b'')
    with pytest.raises(UserError) as error:
        audit(tmp_path)
    assert len(error.value.problems) == 2
    assert 'x.png' in str(error.value)
    assert 'y.png' in str(error.value)


def test_what_is_no_folder_of_cells_is_told(tmp_path):
    with pytest.raises(UserError, match='there is no such folder'):
        audit(tmp_path / 'absent')
    with pytest.raises(UserError, match='holds 0 images'):
        audit(tmp_path)


def test_shortcuts_are_told_from_noise(tmp_path):
    rng = np.random.default_rng(0)
    cells = [np.clip(rng.normal(150, 30, (48, 48, 3)), 0, 255).astype(np.uint8) for _ in range(60)]
    for number, image in enumerate(cells):
        kind = 'ab'[number % 2]
        if kind == 'b':
            image[:8] = image[:8] // 2  # a darker upper border
        (tmp_path / kind).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / kind / f'{number:03}.bmp')  # all of one size
    told = {shortcut.name: shortcut for shortcut in audit(tmp_path).shortcuts}
    assert told['border'].says_the_label
    assert told['border'].accuracy > 0.9
    assert not told['file size'].says_the_label
    assert not told['image size'].says_the_label


@pytest.mark.parametrize(
    ('draw', 'suffix'),
    [
        (lambda pen: pen.rectangle((180, 240, 239, 245), fill='black'), '.png'),
        (lambda pen: pen.rectangle((180, 240, 239, 245), fill='white'), '.jpg'),
        (lambda pen: pen.text((10, 10), '10 µm', fill='black', font=ImageFont.load_default(16)), '.jpg'),
        (lambda pen: pen.text((10, 10), '10 µm', fill='yellow', font=ImageFont.load_default(16)), '.png'),
    ],
    ids=['bar', 'white bar in JPEG', 'text in JPEG', 'yellow text'],
)
@pytest.mark.parametrize('everywhere', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_was_drawn_over_one_class_is_a_shortcut(tmp_path, draw, suffix, everywhere):
    for number, cell in enumerate(pictures(16)):
        picture = Image.fromarray(cell.image)
        if number % 2 or everywhere:
            draw(ImageDraw.Draw(picture))
        path = tmp_path / 'ab'[number % 2] / f'{number}{suffix}'
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=80)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(f'*{suffix}'))
    told = {one.name: one for one in shortcuts(measure_files(tmp_path, files), [name[0] for name in files], files)}
    assert told['overlay'].says_the_label is not everywhere
    assert everywhere or told['overlay'].accuracy > 0.9


def test_pictures_without_overlays_have_none(tmp_path):
    assert not any(overlays.drawn(cell.image).any() for cell in pictures(12))
    stairs = np.repeat(np.repeat(np.arange(0, 256, 16, np.uint8), 16)[None, :, None], 256, 0).repeat(3, 2)
    assert not overlays.drawn(stairs[:200, :200]).any()


def test_hostile_names_are_text_on_the_page(tmp_path):
    names = [
        '"><script>alert(1)<',
        "' onerror='x",
        'javascript:alert(1)&amp;',
        '<img src=x>',
        '=cmd()',
        'a\nb',
        '{{ 7 * 7 }}',
    ]
    images = [cell.image[64:192, 64:192] for cell in pictures(len(names))]
    clean, hostile = tmp_path / 'clean', tmp_path / '<script>alert(2)<'
    for number, (name, image) in enumerate(zip(names, images, strict=True)):
        for folder, label, file in ((clean, 'ab', str(number)), (hostile, ('<b>', '"b'), name)):
            for kind, picture in zip(label, (image, image[:, ::-1]), strict=True):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(folder / kind / f'{file}.png')
    pages = []
    for folder in (clean, hostile):
        page = Tags((write(audit(folder), tmp_path / f'out-{len(pages)}')[-1]).read_text())
        pages.append(page)
    assert sorted(pages[0].tags) == sorted(pages[1].tags)
    assert not {'a', 'iframe', 'b"'} & {tag for tag, _ in pages[1].tags}
    assert [names for tag, names in pages[1].tags if tag == 'script'] == [['id', 'type'], []]  # its data and its own
    assert not any({'onerror', 'onload', 'href'} & set(names) for _, names in pages[1].tags)
    assert '<script>alert(1)<' in pages[1].text
    assert '{{ 7 * 7 }}' in pages[1].text
    with (tmp_path / 'out-1' / 'pairs.csv').open(newline='') as file:
        rows = csv_rows(file.read())
    assert {row['file'].split('/')[-1] for row in rows} == {f'{name}.png' for name in names}


def test_pairs_that_are_not_one_cell_are_left_out_and_the_others_compared(tmp_path, monkeypatch):
    cells = [cell.image for cell in pictures(6)]
    save(tmp_path, [*cells, np.rot90(cells[2]), cells[2][:, ::-1], cells[2]])
    monkeypatch.setattr('alljax.data.audit.ROUND', 1)
    found = audit(tmp_path)
    first, second = found.pairs[0][:2], found.pairs[-1][:2]
    assert {first, second} < {(2, 6), (2, 7), (2, 8), (6, 7)}
    assert (2, 8) in {pair[:2] for pair in found.pairs}  # the same pixels
    left = ({(2, 6), (2, 7), (6, 7)} - {pair[:2] for pair in found.pairs}).pop()
    assert left in found.uncompared
    table = tmp_path / 'out' / 'not_same.csv'
    table.parent.mkdir()
    files = found.listing.files
    marked = next(pair for pair in found.pairs if pair.score < 1)
    table.write_text(f'file,other_file\n{files[marked.second]},{files[marked.first]}\n')
    again = audit(tmp_path, not_same=table)
    assert marked[:2] not in {pair[:2] for pair in again.pairs}
    assert left in {pair[:2] for pair in again.pairs}  # it joins what the marked pair had joined
    assert again.groups == found.groups


def test_a_not_same_csv_that_cannot_be_is_told(tmp_path):
    table = tmp_path / 'not_same.csv'
    files = ('a.png', '=b.png', 'c.png')
    table.write_text("file,other_file\n'=b.png,a.png\nc.png,a.png\n")
    marks = not_same_table.read(table, files)
    assert marks == {(0, 1), (0, 2)}
    assert not_same_table.of_pictures(table, marks, files, 'xyz') == marks
    with pytest.raises(UserError, match=r'a.png and c.png have the same pixels; delete the line'):
        not_same_table.of_pictures(table, marks, files, 'xyx')
    equal = not_same_table.of_pictures(table, frozenset({(1, 2)}), files, 'xyx')
    assert equal == {(0, 1)}  # the first of equal pictures is the one that is compared
    there = FolderListing(tmp_path, files, ('',) * 3, ('a.png', 'a.png', 's'), frozenset(files), tmp_path / 'g.csv', ())
    assert '1 of its 2 pairs stay in one group' in not_same_table.notes(table, marks, there)[0]
    assert not_same_table.notes(table, marks, there._replace(groups=('s', 's', 't'))) == []
    for saved in (  # by spreadsheets of other languages
        b"file;other_file\n'=b.png;a.png\nc.png;a.png\n",
        b'sep=;\r\nfile;other_file\r\n=b.png;a.png\r\nc.png;a.png\r\n',
        'file\tother_file\n=b.png\ta.png\nc.png\ta.png\n'.encode('utf-16'),
    ):
        table.write_bytes(saved)
        assert not_same_table.read(table, files) == marks
    for text, words in (
        ('', ('expected the columns file,other_file',)),  # as a disk leaves a file that was not synced
        (f'file,other_file\n{"x" * 200_000},a.png\n', ('is no CSV table',)),
        ('file,other_file\nx.png,a.png\na.png,a.png\n', ('x.png is not among the images', 'on both sides of a line')),
        ('file,group\na.png,x\n', ('expected the columns file,other_file',)),
    ):
        table.write_text(text)
        with pytest.raises(UserError) as error:
            not_same_table.read(table, files)
        assert all(word in str(error.value) for word in words)
    with pytest.raises(UserError, match='correct --not_same'):
        not_same_table.read(tmp_path / 'none.csv', files)


def test_groups_are_joined_through_their_pairs():
    assert merged(['x', 'y', 'y', 'z', 'w'], [(0, 1), (2, 3)]) == ['x', 'x', 'x', 'x', 'w']
    assert repeats(['a', 'b', 'c', 'd'], [(0, 2), (2, 3)]) == ['a', '', 'a', 'a']


def test_real_cells_with_their_slides(wbc):
    records = list_folder(wbc)
    assert len(records.files) == 511
    assert len(set(records.groups)) == 30
