import base64
import io

import jinja2
import numpy as np
import pytest
from PIL import Image

from alljax.evaluation import page_template, slides
from alljax.evaluation.slides import Slide

EVIL = '"><script src=http://evil.example/x.js></script>'


def row(file, slide, label, prediction, sure=0.75, repeat=None):
    other = 'b' if prediction == 'a' else 'a'
    chances = {f'probability_{prediction}': str(sure), f'probability_{other}': str(1 - sure)}
    known = {'file': file, 'group': slide, 'label': label, 'prediction': prediction, **chances}
    return known if repeat is None else {**known, 'fold': '0', 'repeat': repeat}


ROWS = [
    row('1.png', 's1', 'a', 'a', 0.9), row('2.png', 's1', 'a', 'b', 0.6), row('3.png', 's1', 'b', 'a', 0.8),
    row('4.png', 's2', 'b', 'b', 0.7), row('5.png', 's2', 'b', 'b', 0.5), row('6.png', 's3', 'a', 'b', 0.7),
]  # fmt: skip
PICTURES = {f'{number}.png': np.full((100, 80, 3), 30 * number, np.uint8) for number in range(1, 7)}


def test_slides_are_sorted_by_their_errors():
    found = slides.by_slide(ROWS)
    assert [slide._replace(confidence=0.0) for slide in found] == [
        Slide('s1', ('a', 'b'), 3, 1.0, {'b': 1.0, 'a': 1.0}, 0.0),
        Slide('s3', ('a',), 1, 0.0, {'b': 1.0}, 0.0),
        Slide('s2', ('b',), 2, 2.0, {}, 0.0),
    ]
    assert [slide.confidence for slide in found] == pytest.approx([2.3 / 3, 0.7, 0.6])
    assert [slide.wrong for slide in found] == [2, 1, 0]
    without = [{key: value for key, value in one.items() if 'prob' not in key} for one in ROWS]
    assert [slide.confidence for slide in slides.by_slide(without)] == [None] * 3


def test_repetitions_count_a_cell_once_and_its_errors_by_their_mean():
    rows = [row('1.png', 's', 'a', 'a', repeat='0'), row('2.png', 's', 'a', 'b', repeat='0'),
            row('1.png', 's', 'a', 'b', repeat='1'), row('2.png', 's', 'a', 'b', repeat='1')]  # fmt: skip
    (found,) = slides.by_slide(rows)
    assert (found.cells, found.right, found.wrong, found.confused) == (2, 0.5, 1.5, {'b': 1.5})
    assert [slides.counted(number) for number in (2, 1.5, 1234.0)] == ['2', '1.5', '1,234']


def test_the_worst_slides_are_the_fewest_that_make_half_of_the_errors():
    made = [Slide(str(wrong), ('a',), 10, 10.0 - wrong, {}, None) for wrong in (5, 3, 2, 0)]
    assert [slide.name for slide in slides.worst(made)] == ['5']
    assert [slide.name for slide in slides.worst([made[1], *made[1:]])] == ['3', '3']
    assert slides.worst(made[3:]) == []


def test_a_strip_shows_wrong_cells_first_and_each_once():
    shown = slides.strip([one for one in ROWS if one['group'] == 's1'], PICTURES)
    assert [cell.title for cell in shown] == [
        '3.png: b → a, 80.0%', '2.png: a → b, 60.0%', '1.png: a → a, 90.0%',
    ]  # fmt: skip
    assert [cell.right for cell in shown] == [False, False, True]
    many = [row(f'{number % 20}.png', 's', 'a', 'b') for number in range(40)]
    pictures = {f'{number}.png': PICTURES['1.png'] for number in range(20)}
    assert len(slides.strip(many, pictures)) == len({cell.title for cell in slides.strip(many, pictures)}) == 8
    with Image.open(io.BytesIO(base64.b64decode(shown[0].picture.split(',')[1]))) as image:
        assert (image.format, image.size) == ('JPEG', (51, 64))
        assert abs(int(np.asarray(image)[30, 30, 0]) - 90) < 3


def section(rows, *, grouping='patient or slide', leaky=False, pictures=PICTURES):
    results = {'data': {'grouping': grouping}, 'split': {'leaky': leaky}}
    template: jinja2.Template = page_template.load('slides.html.jinja')
    return str(slides.section(results, rows, pictures, template))


def test_the_table_of_the_page():
    html = section(ROWS)
    assert html.count('<img ') == html.count('data:image/jpeg') == 6
    assert html.count('class="wrong"') == 3
    assert 'The slide above makes half of the 3 errors' in html
    assert html.index('>s1<') < html.index('makes half') < html.index('>s3<') < html.index('>s2<')
    assert 'The split leaks' not in html
    assert 'The split leaks' in section(ROWS, leaky=True)
    assert 'tested 2 times' in section([{**one, 'repeat': str(n)} for n in range(2) for one in ROWS])
    assert '<img' not in section(ROWS, pictures={})
    assert '<script' not in section([row(EVIL, EVIL, EVIL, 'a')], pictures={EVIL: PICTURES['1.png']})


@pytest.mark.parametrize(
    ('grouping', 'reason'),
    [
        ('unknown', 'It is not known which cells'),
        ('repeats only', 'Only repeats'),
        ('', 'does not say what its groups'),
    ],
)
def test_without_slides_the_page_says_why_there_is_no_table(grouping, reason):
    html = section(ROWS, grouping=grouping)
    assert reason in html
    assert 'groups.csv' in html
    assert '<table' not in html


def test_many_slides_stay_a_small_page(monkeypatch):
    monkeypatch.setattr(slides, 'STRIPS', 10)
    rows = [row(f'{n}.png', f's{n // 10}', 'a', 'ab'[n % 2]) for n in range(120)]
    html = section(rows, pictures={f'{n}.png': PICTURES['1.png'] for n in range(120)})
    assert html.count('<img') == 80
    assert html.count('scope="row"') == 12
    assert '2 slides with fewest errors are shown without pictures' in html
    assert len(html) < 150_000
