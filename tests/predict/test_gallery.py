"""The page of all predictions, opened in a browser: its order, its filters, its marks, and text that is no markup."""

import re

import numpy as np
import pytest
from PIL import Image

from alljax import predict as room
from alljax.commands import predict as command
from alljax.data.class_folders import KnownCell, KnownCells
from alljax.errors import UserError
from alljax.evaluation.thumbnails import thumbnail
from alljax.predict import UNLIKE, Predictor, Row, gallery, scoring
from alljax.predict.gallery import Gallery
from alljax.runs.calibration import UNCERTAIN
from alljax.storage.calibration_record import Calibration
from alljax.storage.card import Card, Scores

CLASSES = ('blast', 'normal', '<b>odd</b>')
HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e.png'
KNOWN = Calibration(1.0, 0.9, 0.1, 0.95, 0.7, 30, 6, 'validation fold')
CARD = Card(CLASSES, system={}, data_size=32, model={'name': 'putzu2014'}, calibration=KNOWN,
            scores=Scores(0.8, 0.7, 0.9, 40, 'grouped', False))  # fmt: skip
PICTURE = thumbnail(np.full((80, 40, 3), 90, np.uint8))


def row(number, place, share, **more):
    shares = np.full(3, (1 - share) / 2)
    shares[place] = share
    return Row(f'/cells/{number:03}.png', shares, thumbnail=PICTURE, **more)


ROWS = [
    row(0, 0, 0.99, answer='blast', label='blast'),
    row(1, 1, 0.6, answer=UNCERTAIN, possible=('normal', 'blast'), label='blast'),
    row(2, 1, 0.9, answer=UNLIKE, unlike='darker <i>than</i> theirs', label='normal'),
    row(3, 2, 0.8, answer='<b>odd</b>')._replace(file=f'/cells/{HOSTILE}'),
    Row('/cells/broken <i>.png', None, error='is damaged'),
    *(row(number, 0, 0.95, answer='blast') for number in range(5, 300)),
]


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    known = {room.Path(r.file): KnownCell(r.label, r.file) for r in ROWS if r.label}
    found = scoring.scored(ROWS, CLASSES, KnownCells(known, 'unknown', {}, ()), None)
    path = tmp_path_factory.mktemp('gallery') / 'gallery.html'
    run = Predictor(CLASSES, CARD, lambda images, batch_size: images)
    gallery.write(path, Gallery(run, path.parent, ROWS, found))
    return path


def files(found):
    # what is out of view has no inner text
    return [name[:3] for name in found.locator('#grid .file').all_text_contents()]


def test_pictures_are_sorted_filtered_and_shown_in_steps(open_page, page):
    found = open_page(page)
    first = found.locator('#grid figure').first
    assert first.locator('b').inner_text() == 'normal 60.0%'
    assert first.locator('.uncertain').inner_text() == 'uncertain: normal or blast'
    assert first.locator('.wrong').inner_text() == 'wrong: it is blast'
    assert first.locator('.class-name').all_inner_texts() == ['normal', 'blast', '<b>odd</b>']
    widths = first.locator('.filled').evaluate_all('bars => bars.map((bar) => bar.style.width)')
    assert widths == ['60%', '20%', '20%']
    assert files(found)[:3] == ['001', '</s', '002']
    assert len(files(found)) == 120
    assert '120 of 299 pictures shown' in found.locator('#status').inner_text()
    found.keyboard.press('Tab')
    found.locator('#more').press('Enter')
    assert len(files(found)) == 240
    assert found.evaluate('document.activeElement.tagName') == 'FIGURE'
    found.select_option('[name=order]', 'certain')
    assert files(found)[0] == '000'
    assert found.locator('#grid figure').first.locator('.soft').first.text_content() == 'right'
    for name, value, expected in (
        ('mark', 'uncertain', ['001']), ('mark', 'unlike', ['002']), ('mark', 'wrong', ['001']),
        ('prediction', '2', ['</s']), ('label', '0', ['001', '000']),
    ):  # fmt: skip
        found.select_option(f'[name={name}]', value)
        assert files(found) == expected, (name, value)
        found.click('#all')
        assert len(files(found)) == 120
    found.fill('[name=least]', '85')
    found.fill('[name=most]', '92')
    assert files(found) == ['002']
    assert found.locator('.unlike').text_content() == 'unlike the training cells: darker <i>than</i> theirs'
    found.fill('[name=most]', '86')
    assert 'No picture is so (of 299 in all)' in found.locator('#status').inner_text()


def test_a_number_of_the_confusion_matrix_shows_its_pictures(open_page, page):
    found = open_page(page, width=360, dark=True)
    assert found.evaluate('document.documentElement.scrollWidth') <= 360
    found.click('[aria-label="1 of blast called normal: show them"]')
    assert files(found) == ['001']
    assert 'Accuracy' in found.locator('.measure.first').inner_text()
    assert '66.7%' in found.locator('.measure.first').inner_text()


def test_text_from_outside_is_text(open_page, page):
    found = open_page(page)
    found.select_option('[name=prediction]', '2')
    assert found.locator('#grid .file').text_content() == HOSTILE.replace('\u202e', '\\u202e')
    assert found.locator('section').last.locator('td').all_inner_texts() == ['broken <i>.png', 'is damaged']
    assert found.locator('img[src=x], b b, i').count() == 0


def test_the_page_says_what_the_model_is_and_how_it_did(page):
    text = re.sub(r'\s+', ' ', page.read_text())
    for words in (
        'putzu2014 on 300 pictures',
        '1 uncertain, 1 unlike the training cells, 1 not read',
        'below 70.0% it is',
        'accuracy 80.0% (95% 70.0% to 90.0%, Wilson’s',
        '40 test cells of its run, grouped split',
    ):
        assert words in text, words
    assert 'synthetic cells' not in text
    drawn = Predictor(CLASSES, Card(CLASSES, system={}, synthetic=True), lambda images, batch_size: images)
    text = re.sub(r'\s+', ' ', gallery.render(Gallery(drawn, page.parent, ROWS[:1], None)))
    for words in ('trained on synthetic cells', 'not calibrated', 'never, as far as its card tells', 'on 1 picture'):
        assert words in text, words
    assert 'Confusion matrix' not in text


@pytest.fixture
def model(monkeypatch):
    """A model that needs no training: the probability of `a` is the mean red of a picture."""

    def shares(images, batch_size):
        red = images[..., 0].mean((1, 2)) / 255
        return np.stack([red, 1 - red], 1)

    monkeypatch.setattr(command, 'tell_final_model', lambda path: None)  # there is no folder to look into
    monkeypatch.setattr(
        room, 'load', lambda path: Predictor(('a', 'b'), Card(('a', 'b'), system={}, data_size=8), shares)
    )


def test_the_command_scores_class_folders_and_writes_both_files(model, tmp_path, capsys):
    cells = tmp_path / 'cells'
    for name, red in (('A/1.png', 250), ('A/2.png', 3), ('b/1.png', 2), ('c/1.png', 2)):
        (cells / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (red, 9, 9)).save(cells / name)
    html, csv = tmp_path / 'g.html', tmp_path / 'g.csv'
    assert command.main(['run', str(cells), '--html', str(html), '--csv', str(csv)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert '3 pictures of known class: 2 right, accuracy 66.7%' in said.err
    assert 'c 1.' in said.err
    assert [line.split(',')[1] for line in csv.read_text().splitlines()] == ['label', 'a', 'a', 'b', '']
    assert 'Scored by the class folders' in html.read_text()
    assert command.main(['run', str(cells / 'c'), '--html', str(html), '--csv', str(csv)]) == 0
    assert 'known class' not in capsys.readouterr().err
    assert csv.read_text().startswith('file,prediction,')
    assert 'Scored by' not in html.read_text()
    assert not list(tmp_path.glob('.*'))


def test_a_page_that_cannot_be_written_is_refused_before_the_work(model, tmp_path, monkeypatch):
    monkeypatch.setattr(room, 'predict', lambda *_, **__: pytest.fail('worked before'))
    html = tmp_path / 'g.html'
    for arguments, words in (
        (['--html', str(tmp_path)], 'is a folder or lies in none that exists'),
        (['--html', str(tmp_path / 'absent' / 'g.html')], 'is a folder or lies in none that exists'),
        (['--html', str(tmp_path / ('n' * 254))], 'File name too long'),
        (['--html', str(html), '--csv', str(html)], 'is the file of --csv, too'),
    ):
        with pytest.raises(UserError, match=words):
            command.main(['run', str(tmp_path), *arguments])
    assert not list(tmp_path.iterdir())
