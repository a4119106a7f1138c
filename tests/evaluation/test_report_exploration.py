"""The report that one explores: the matrix, the filters, the two curves; by mouse, by keyboard, by link, in print."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from test_report import EVIL, NAMES, make_results, mistake

from alljax.evaluation import confidence_curves, exploration, intervals, metrics, report
from alljax.evaluation.thumbnails import thumbnail

HOSTILE = f'</script><img src=x onerror=alert(1)> {EVIL}'
CLASSES = [HOSTILE, *NAMES[1:]]
CELLS, SLIDES = 150, 6


def rows_of(classes, labels, probabilities, files, groups, **further):
    """The rows of a predictions.csv."""
    columns = {
        f'probability_{name}': [f'{share:.6f}' for share in probabilities[:, i]] for i, name in enumerate(classes)
    }
    best = probabilities.argmax(1)
    columns |= {'file': files, 'group': groups, 'label': [classes[i] for i in labels]}
    columns |= {'prediction': [classes[i] for i in best], **further}
    return [dict(zip(columns, map(str, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def made():
    """Cells of six slides, each tested in two repetitions; the first has a hostile name, as a class has."""
    rng = np.random.default_rng(0)
    labels = np.tile(rng.integers(0, 4, CELLS), 2)
    logits = rng.normal(size=(2 * CELLS, 4)) + 1.5 * np.eye(4)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cell = np.tile(np.arange(CELLS), 2)
    files = [HOSTILE if number == 0 else f'Im{number:03}.tif' for number in cell]
    repeats = np.repeat([0, 1], CELLS)
    return rows_of(CLASSES, labels, probabilities, files, cell % SLIDES, fold=cell % 3, repeat=repeats)


LAYER = {'method': 'Grad-CAM', 'layer': 'conv5', 'in_words': 'the last convolution, 13 × 13 positions (conv5)'}


def gray(rows):
    """A picture for each file, of its number."""
    return {row['file']: np.full((8, 8, 3), number % CELLS, np.uint8) for number, row in enumerate(rows)}


def write(folder, rows, classes=CLASSES, *, calibration=None, heat_maps=LAYER):
    Image.new('RGB', (40, 20), 'red').save(folder / 'confusion.png')
    results = make_results()
    results['data']['grouping'] = 'patient or slide'
    results['test']['confusion'] = {'labels': classes, 'matrix': np.eye(len(classes), dtype=int).tolist()}
    results['test']['per_class'] = dict.fromkeys(classes, results['test']['per_class']['L1'])
    results |= {'calibration': calibration} if calibration else {}
    results |= {'heat_maps': heat_maps} if heat_maps else {}
    report.write(
        folder / 'report.html', results, mistakes=[mistake(), mistake()], tested=report.TestedCells(rows, gray(rows)),
        figures={'Confusion matrix': folder / 'confusion.png'},
        heat_maps={HOSTILE: thumbnail(np.zeros((8, 8, 3), np.uint8))},
    )  # fmt: skip
    return folder / 'report.html'


@pytest.fixture(scope='module')
def predicted():
    return exploration.of_rows(made(), CLASSES)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp('report'), made())


@pytest.fixture(scope='module')
def page(open_module_page, file):
    return open_module_page(file)


def first(predicted):
    """Labels, predictions, confidence and slides of the first repetition, which the page begins with."""
    rows = slice(0, CELLS)
    slides = slide_of(predicted)
    return predicted.labels[rows], predicted.predictions[rows], predicted.confidence[rows], slides[rows]


def slide_of(predicted):
    return np.array(predicted.groups, int)


def choose(page, **values):
    """Sets these controls, and all others as they were at first: at once, for many choices."""
    return page.evaluate(CHOOSE, FIRST | values)


def shown(page):
    """How many cells are found, and the files of those that are shown, in their order."""
    count, files = page.evaluate(SHOWN)
    return int(count.split(' of ')[0].replace(',', '')), files


FIRST = dict.fromkeys(('true', 'predicted', 'group', 'only', 'sort'), '') | {
    'from': '0', 'to': '100', 'repeat': '0', 'at': '0.9',
}  # fmt: skip
CHOOSE = """values => {
    const form = document.querySelector('#filters');
    for (const control of form.elements) if (control.name) control.value = values[control.name];
    (form.elements.repeat ?? form).dispatchEvent(new Event('change', { bubbles: true }));
}"""
SHOWN = """() => [
    document.querySelector('#found').textContent,
    [...document.querySelectorAll('#cells figure .file:nth-of-type(1)')].map(name => name.textContent),
]"""
PIXEL = """async image => {
    await image.decode();
    const canvas = document.createElement('canvas').getContext('2d');
    canvas.drawImage(image, 0, 0);
    return canvas.getImageData(2, 2, 1, 1).data[0];
}"""


def names_of(predicted, where, order=None):
    """How many cells there are, and the files of the first ones."""
    places = np.flatnonzero(where)
    places = places if order is None else places[np.argsort(order[places], kind='stable')]
    return len(places), [predicted.files[place] for place in places[:60]]


def test_cell_of_the_matrix_shows_its_pictures(page, predicted):
    choose(page)
    labels, predictions, confidence, _ = first(predicted)
    matrix = metrics.confusion(labels, predictions, 4)
    assert page.locator('#matrix button').all_inner_texts() == [str(number) for number in matrix.ravel()]
    assert page.locator('#matrix tbody th').all_inner_texts()[1] == f'L2 ({matrix[1].sum()})'
    assert shown(page) == names_of(predicted, labels >= 0, confidence)
    wanted = (labels == 1) & (predictions == 3)
    share = 100 * matrix[1, 3] / matrix[1].sum()
    button = page.get_by_role('button', name=f'{wanted.sum()} cells of L2 taken for normal: {share:.1f}% of the row')
    assert button.get_attribute('aria-pressed') == 'false'
    button.click()
    assert button.get_attribute('aria-pressed') == 'true'
    assert page.locator('#matrix [aria-pressed=true]').count() == 1
    assert shown(page) == names_of(predicted, wanted, confidence)
    place = np.flatnonzero(wanted)[np.argmin(confidence[wanted])]
    card = page.locator('#cells figure').first
    words = card.inner_text().split('\n')
    assert (words[0], words[2]) == (
        '✗ L2 → normal',
        f'slide {predicted.groups[place]}, fold {place % 3 + 1}, repetition 1',
    )
    ordered = np.argsort(-predicted.probabilities[place])
    assert [re.split(r'\s*\n\s*', line) for line in card.locator('li').all_inner_texts()] == [
        [predicted.classes[i], f'{round(1000 * predicted.probabilities[place, i]) / 10:.1f}%'] for i in ordered
    ]
    assert abs(card.locator('img').evaluate(PIXEL) - place) < 3


def test_keyboard_is_enough(page, predicted):
    choose(page)
    labels, predictions, confidence, _ = first(predicted)
    page.locator('#matrix button').first.focus()
    page.keyboard.press('Tab')
    assert page.evaluate('getComputedStyle(document.activeElement).outlineStyle') == 'solid'
    page.keyboard.press('Enter')
    assert shown(page) == names_of(predicted, (labels == 0) & (predictions == 1), confidence)
    assert page.evaluate("document.activeElement.closest('#matrix') !== null")
    page.locator('#threshold').focus()
    for _ in range(3):
        page.keyboard.press('ArrowLeft')
    assert page.locator('#answered').inner_text().startswith('At 0.87: ')
    page.locator('button[type=reset]').press('Enter')
    page.wait_for_function("document.querySelector('#more').textContent === 'Show 60 more'")
    assert page.locator('#answered').inner_text().startswith('At 0.90: ')
    page.locator('#more').press('Enter')
    assert page.evaluate("document.activeElement === document.querySelector('#cells').children[60]")
    assert page.locator('#more').inner_text() == f'Show {CELLS - 120} more'
    page.locator('#more').press('Enter')
    assert shown(page) == (CELLS, [predicted.files[place] for place in np.argsort(confidence, kind='stable')])
    assert page.locator('#more').is_hidden()


def test_filters_and_orders(page, predicted):
    choose(page)
    labels, predictions, confidence, slides = first(predicted)
    right = labels == predictions
    for values, where in (
        ({'true': 'L3'}, labels == 2),
        ({'predicted': 'L2'}, predictions == 1),
        ({'group': '4'}, slides == 4),
        ({'only': 'mistakes'}, ~right),
        ({'only': 'right'}, right),
        ({'only': 'uncertain'}, confidence < 0.9),
        ({'only': 'uncertain', 'at': '0.6'}, confidence < 0.6),
        ({'from': '60', 'to': '80'}, (confidence >= 0.6) & (confidence <= 0.8)),
        ({'group': '2', 'only': 'mistakes', 'to': '70'}, (slides == 2) & ~right & (confidence <= 0.7)),
    ):
        choose(page, **values)
        assert shown(page) == names_of(predicted, where, confidence), values
    choose(page, sort='confident', only='mistakes')
    assert shown(page) == names_of(predicted, ~right, -confidence)
    choose(page, sort='group', only='mistakes')
    assert shown(page) == names_of(predicted, ~right, slides)
    choose(page, sort='file', true='L2')
    assert shown(page) == names_of(predicted, labels == 1)
    wrong = np.bincount(slide_of(predicted)[~predicted.right])
    said = page.locator('[name=group] option').all_inner_texts()[1]
    assert said == f'{wrong.argmax()}: {wrong.max()}/{2 * CELLS // SLIDES} wrong'


def test_repetition_is_chosen(page, predicted):
    choose(page)
    choose(page, repeat='1', only='mistakes')
    labels, predictions = predicted.labels[CELLS:], predicted.predictions[CELLS:]
    assert shown(page)[0] == np.sum(labels != predictions)
    assert page.locator('#found').inner_text() == f'{np.sum(labels != predictions)} of {CELLS} cells'
    found = page.locator('#matrix button').all_inner_texts()
    assert found == [str(number) for number in metrics.confusion(labels, predictions, 4).ravel()]
    choose(page, repeat='all')
    assert page.locator('#found').inner_text() == f'{2 * CELLS} of {2 * CELLS} cells, the first 60 shown'


def test_threshold_says_what_numpy_says(page, predicted):
    choose(page)
    right, confidence, slides = predicted.right, predicted.confidence, slide_of(predicted)
    for threshold in (0.0, 0.57, 0.83):
        page.locator('#threshold').fill(f'{threshold:.2f}')
        some = confidence >= threshold
        (bounds,) = intervals.share_bootstrap(some[:, None], right, slides)
        assert page.locator('#answered').inner_text() == (
            f'At {threshold:.2f}: {100 * some.mean():.1f}% of the cells answered ({some.sum()} of {2 * CELLS}), '
            f'{100 * right[some].mean():.1f}% of them right (95% interval over slides {100 * bounds[0]:.1f}% to '
            f'{100 * bounds[1]:.1f}%).'
        )
    page.locator('#threshold').fill('1')
    assert page.locator('#answered').inner_text() == 'At 1.00: no cell is answered.'
    bins = confidence_curves.reliability(confidence, right, slides)
    assert page.locator('#reliability rect').count() == len(bins)
    assert page.locator('#reliability .small').all_text_contents() == [*(str(one.cells) for one in bins), 'cells']


def test_link_to_a_choice(open_page, file, predicted):
    page = open_page(file)
    labels, predictions, confidence, _ = first(predicted)
    choose(page, true='L2', only='uncertain', at='0.5')
    assert page.url.endswith('#at=0.5&true=L2&only=uncertain')
    page.reload()
    assert shown(page) == names_of(predicted, (labels == 1) & (confidence < 0.5), confidence)
    assert page.locator('#answered').inner_text().startswith('At 0.50: ')
    page.evaluate("location.hash = '#true=L3&predicted=L3'")
    page.wait_for_selector('[aria-pressed=true]')
    assert shown(page) == names_of(predicted, (labels == 2) & (predictions == 2), confidence)
    page.evaluate("location.hash = '#true=no such class&length=7&sort=constructor'")
    page.wait_for_selector('#matrix:not(:has([aria-pressed=true]))')
    assert shown(page) == names_of(predicted, labels >= 0, confidence)
    page.requests[1:] = [url for url in page.requests[1:] if not url.startswith(file.as_uri())]  # of the second visit


def test_hostile_names_are_text(page, predicted):
    choose(page)
    choose(page, sort='file')
    card = page.locator('#cells figure').first
    assert card.locator('.file').first.text_content() == HOSTILE
    assert card.locator('img').count() == 2  # the other is its heat map
    assert page.locator('#matrix th').nth(1).text_content() == HOSTILE
    assert not page.locator('img[src=x], script[src]').count()
    page.locator('#matrix button').first.click()
    assert shown(page)[0] == np.sum((predicted.labels[:CELLS] == 0) & (predicted.predictions[:CELLS] == 0))


def test_heat_maps_stand_beside_their_cells_until_a_button_hides_them(page, predicted):
    choose(page)
    choose(page, sort='file')
    pair = page.locator('#cells figure').first.locator('img')
    button = page.get_by_role('button', name='Heat maps')
    assert [pair.nth(n).is_visible() for n in range(2)] == [True, True]
    assert pair.nth(1).evaluate(PIXEL) == 0
    left, right = (pair.nth(n).bounding_box() for n in range(2))
    assert (left['y'], left['width']) == (right['y'], right['width'])
    assert button.get_attribute('aria-pressed') == 'true'
    button.press('Enter')
    assert button.get_attribute('aria-pressed') == 'false'
    assert [pair.nth(n).is_visible() for n in range(2)] == [True, False]
    choose(page, sort='file', only='right')
    choose(page, sort='file')
    assert not pair.nth(1).is_visible()  # nor of cells that are shown later
    button.click()
    assert pair.nth(1).is_visible()
    choose(page, sort='file', repeat='1')  # which has another model
    assert pair.count() == 1
    said = ' '.join(page.locator('#exploration').inner_text().split())
    assert 'comes from: Grad-CAM of the last convolution, 13 × 13 positions (conv5), each in colors' in said
    assert 'no proof that a decision has its reason there' in said
    without = np.sum(~predicted.right[1:CELLS])  # the first cell has one
    kept = f'mistakes, the most confident first ({without} have none), and some right cells of each class'
    assert f'1 of {CELLS} cells have one, to keep the page small: {kept}.' in said
    assert said.endswith('They are of repetition 1.')


def test_page_says_why_there_are_no_heat_maps(tmp_path):
    rows = rows_of(['x', 'y'], [0, 1], np.eye(2), ['a.png', 'b.png'], ['s', 't'])
    text = write(tmp_path, rows, ['x', 'y'], heat_maps={'none': 'it is <small>'}).read_text()
    assert 'There are no heat maps: it is &lt;small&gt;.' in text
    assert 'id="heat-maps"' not in text
    assert 'There are no heat maps' not in write(tmp_path, rows, ['x', 'y'], heat_maps=None).read_text()  # earlier runs
    rows[0]['file'] = HOSTILE  # the only cell with one, and there is no mistake
    text = ' '.join(write(tmp_path, rows, ['x', 'y']).read_text().split())
    assert '1 of 2 cells have one, to keep the page small: the mistakes, and some right cells of each class.' in text


def test_heat_maps_of_the_most_confident_mistakes_come_first():
    shares = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    cells = exploration.of_rows(rows_of(['x', 'y'], [0, 1, 1, 0], shares, list('abcd'), 'ssss'), ['x', 'y'])
    assert exploration.kept_heat_maps(cells, dict.fromkeys('abcd', b''), 3) == ['c', 'b', 'a']
    assert exploration.kept_heat_maps(cells, {'d': b'', 'b': b''}, 3) == ['b', 'd']


def test_print_and_no_script_show_what_was_there(open_page, chromium, file):
    page = open_page(file)
    visible = {
        name: page.locator(name).first for name in ('.unexplored img', '#matrix', '.mistakes img', '#abstention')
    }
    assert [part.is_visible() for part in visible.values()] == [False, True, True, True]
    page.emulate_media(media='print')
    assert [part.is_visible() for part in visible.values()] == [True, False, True, True]
    assert page.get_by_text('Cells answered, and how many of them are right').is_visible()  # folded on a screen
    plain = chromium.new_page(java_script_enabled=False)
    plain.goto(file.as_uri())
    assert plain.locator('.unexplored img').is_visible()
    assert plain.locator('.mistakes img').first.is_visible()
    assert not plain.locator('.scripted:visible').count()
    plain.locator('summary').click()
    assert plain.get_by_text('Cells answered, and how many of them are right').is_visible()
    plain.close()


@pytest.mark.parametrize('dark', [False, True])
def test_words_stand_out(open_page, file, dark):
    page = open_page(file, width=360, dark=dark)
    assert page.evaluate('document.documentElement.scrollWidth') == 360
    assert page.evaluate(CONTRASTS, dark) == []
    page.set_viewport_size({'width': 800, 'height': 900})
    assert page.evaluate('document.documentElement.scrollWidth') == 800


# of all elements with words of their own: those whose contrast with what is behind them is below 4.5 (WCAG 1.4.3)
CONTRASTS = """dark => {
    const parts = color => color.match(/[\\d.]+/g).map(Number);
    const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, i) => a * v + (1 - a) * below[i]);
    const behind = e => e ? over(parts(getComputedStyle(e).backgroundColor), behind(e.parentElement)) : [255, 255, 255];
    const light = rgb => rgb.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const found = [];
    if (light(behind(document.body)) > .5 === dark) found.push('the page is of the other theme');
    for (const e of document.querySelectorAll('main *')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
        const style = getComputedStyle(e);
        const color = e.ownerSVGElement ? style.fill : style.color;
        const [a, b] = [light(parts(color).slice(0, 3)), light(behind(e))].toSorted((a, b) => b - a);
        if ((a + .05) / (b + .05) < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 40), color]);
    }
    return found;
}"""


def test_calibrated_run_says_uncertain(open_page, tmp_path):
    shares = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    further = {'answer': ['x', 'uncertain', 'y'], 'set': ['x', 'x|y', 'y']}
    rows = rows_of(['x', 'y'], [0, 1, 1], shares, ['a.png', 'b.png', 'c.png'], ['s', 's', 't'], **further)
    page = open_page(write(tmp_path, rows, ['x', 'y'], calibration=CALIBRATION))
    assert page.locator('#answered').inner_text().startswith('At 0.75: 66.7% of the cells answered (2 of 3), 100.0%')
    assert not page.locator('[name=repeat]').count()
    choose(page, only='uncertain')
    assert shown(page) == (1, ['b.png'])
    assert 'answered “uncertain”\nset: x, y' in page.locator('#cells').inner_text()


CALIBRATION = {
    'temperature': 1.0, 'coverage': 0.9, 'least': 0.1, 'accuracy': 0.95, 'certain': 0.745, 'cells': 40, 'groups': 4,
    'source': 'validation fold',
    'test': {
        'error_before': 0.1, 'error_after': 0.1, 'covered': 1.0, 'set_size': 1.3, 'answered': 0.7,
        'accuracy_of_answered': 1.0,
        'covered_by_group': {'mean': 1.0, 'lowest': 1.0, 'groups': 2, 'groups_that_reach_it': 2},
    },
}  # fmt: skip


def test_folds_of_a_calibrated_final_model_are_said_to_be_as_they_come(tmp_path):
    rows = rows_of(['x', 'y'], [0, 1], np.array([[0.9, 0.1], [0.6, 0.4]]), ['a.png', 'b.png'], ['s', 't'])
    known = CALIBRATION | {'source': 'folds of the cross-validation'}
    text = ' '.join(write(tmp_path, rows, ['x', 'y'], calibration=known).read_text().split())
    assert 'the model’s probabilities, as the folds give them: the final model’s are calibrated.' in text
    assert 'step="0.01" value="0.90"' in text  # for 'certain' is of calibrated ones
    text = ' '.join(write(tmp_path, rows, ['x', 'y'], calibration=CALIBRATION).read_text().split())
    assert 'as the folds give them' not in text
    assert 'step="0.01" value="0.75"' in text


def test_pictures_of_mistakes_and_of_the_least_confident_come_first():
    shares = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    cells = exploration.of_rows(rows_of(['x', 'y'], [1, 0, 0, 0], shares, list('abcd'), 'ssss'), ['x', 'y'])
    pictures = dict.fromkeys('abcd', np.zeros((1, 1, 3), np.uint8))
    assert exploration.kept_pictures(cells, pictures, most=3) == ['a', 'b', 'd']
    assert exploration.kept_pictures(cells, {name: pictures[name] for name in 'cb'}, most=3) == ['b', 'c']
    content = exploration.content(cells, ['a', 'b', 'd'], 'slide')
    assert content['picture'] == [0, 1, -1, 2]
    assert content['shares'][1] == [0, 600, 1, 400]
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_cells_without_a_picture_are_told(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(exploration, 'PICTURES', 2)
    classes = [f'class {number}' for number in range(exploration.CLASSES + 1)]
    shares = np.full((4, len(classes)), 0.01)
    shares[:, 3] = 0.6, 0.5, 0.58, 0.55
    rows = rows_of(classes, [3, 3, 3, 0], shares, list('abcd'), 'stuv')
    page = open_page(write(tmp_path, rows, classes))
    text = ' '.join(page.locator('#exploration').inner_text().split())
    assert '2 pictures are in it: mistakes first' in text
    assert 'too many classes for a table' in text
    assert not page.locator('#matrix').count()
    choose(page, sort='file')
    cards = [text.split()[0] for text in page.locator('#cells figure').all_inner_texts()]
    assert cards == ['no', '✓', 'no', '✗']
