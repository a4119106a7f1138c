import base64
import io
import json
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from alljax.data.cells import Cells, Origin
from alljax.evaluation import formatting, intervals, metrics, report
from alljax.evaluation.mistakes import Mistake
from alljax.runs.results import score

MATRIX = np.array([[21, 2, 0, 0], [1, 22, 2, 0], [0, 1, 23, 0], [2, 0, 1, 85]])
NAMES = ['L1', 'L2', 'L3', 'normal']
EVIL = '"><script src=http://evil.example/x.js></script><img src=x onerror=alert(1)>.tif'


def make_results(matrix=MATRIX, *, synthetic=False, leaky=False):
    n = int(matrix.sum())
    counts = dict(zip(NAMES, matrix.sum(axis=1).tolist(), strict=True))
    wilson = intervals.wilson(int(matrix.trace()), n)
    return {
        'alljax': '0.1.0',
        'finished': '2026-11-25T15:00:00+00:00',
        'command': 'python launch.py --config=configs/subtype.py',
        'demo': synthetic,
        'data': {
            'name': 'all_idb2',
            'synthetic': synthetic,
            'fingerprint': '9f86d081' * 8,
            'counts': counts,
            'root': '/data/ALL_IDB2',
            'notes': ['ten crops were padded'],
        },
        'split': {
            'protocol': 'random' if leaky else 'grouped',
            'leaky': leaky,
            'train_n': 1230,
            'validation_n': 40,
            'test_n': n,
            'groups': {'train': 12, 'validation': 2, 'test': 8},
            'train_counts': counts,
            'test_counts': counts,
        },
        'test': {
            'n': n,
            **merged(metrics.scores(matrix, NAMES), ranked_of(matrix)),
            'accuracy_ci95': {'wilson': wilson, 'bootstrap_groups': [0.8712345678, 0.97]},
        },
        'train': {'epochs': 24, 'steps': 200, 'seconds': 180.1, 'images_per_second': 33.2123456, 'chosen': 'epoch 20'},
        'model': {'name': 'alexnet', 'init': 'random', 'parameters': 61100000, 'input': [227, 227, 3]},
        'seed': 1234,
        'environment': {'python': '3.11.7', 'jax': '0.10.2', 'devices': '1 × cpu'},
    }


def ranked_of(matrix):
    """Measures of a model that is nine tenths sure of what it predicts."""
    labels, predictions = np.indices(matrix.shape).reshape(2, -1).repeat(matrix.ravel(), 1)
    sure = np.where(np.arange(len(matrix)) == predictions[:, None], 0.9, 0.1 / (len(matrix) - 1))
    return metrics.probability_scores(labels, sure, NAMES)


def merged(scores, ranked):
    per_class = {name: {**row, **ranked['per_class'][name]} for name, row in scores['per_class'].items()}
    return {**scores, **ranked, 'per_class': per_class}


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(html)
        self.text = ' '.join(' '.join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def images(self):
        return [attributes['src'] for tag, attributes in self.tags if tag == 'img']

    def banners(self):
        return [a['class'] for _, a in self.tags if a.get('role') == 'alert']


@pytest.fixture
def render(tmp_path):
    def render(results, **parts):
        report.write(tmp_path / 'report.html', results, **parts)
        return Page((tmp_path / 'report.html').read_text(encoding='utf-8'))

    return render


def mistake(name='Im001_1.tif', probability=0.987, value=7):
    return Mistake(name, 'slide 3', 'L1', 'normal', probability, np.full((5, 6, 3), value, dtype=np.uint8))


def test_page_is_self_contained(render, tmp_path):
    Image.new('RGB', (20, 10), 'red').save(tmp_path / 'plot.png')
    page = render(make_results(), mistakes=[mistake()], figures={'Confusion': tmp_path / 'plot.png'})
    assert len(page.images()) == 2
    assert all(source.startswith('data:image/png;base64,') for source in page.images())
    assert not {'script', 'link', 'iframe', 'object', 'a'} & {tag for tag, _ in page.tags}
    assert not any({'href', 'onerror', 'onload'} & set(attributes) for _, attributes in page.tags)
    html = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert 'http://' not in html
    assert 'https://' not in html
    assert 'url(' not in html
    assert '@import' not in html


def test_pictures_survive_bit_for_bit(render):
    page = render(make_results(), mistakes=[mistake(value=200)])
    png = base64.b64decode(page.images()[0].split(',')[1])
    with Image.open(io.BytesIO(png)) as image:
        np.testing.assert_array_equal(np.asarray(image), np.full((5, 6, 3), 200))


def test_everything_from_outside_is_escaped(render, tmp_path):
    Image.new('RGB', (20, 10)).save(tmp_path / 'plot.png')
    clean = render(make_results(), mistakes=[mistake()], figures={'Plot': tmp_path / 'plot.png'}, facts={'F': {'a': 1}})
    results = make_results()
    results['command'] = results['data']['root'] = results['data']['name'] = results['model']['name'] = EVIL
    results['data']['notes'] = [EVIL]
    results['environment'] = {EVIL: EVIL, 'jax': '', 'devices': ''}
    page = render(
        results,
        mistakes=[mistake(EVIL)._replace(group=EVIL, label=EVIL)],
        figures={EVIL: tmp_path / 'plot.png'},
        facts={EVIL: {EVIL: EVIL}},
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]
    assert page.text.count(EVIL) >= 10


def test_a_file_name_that_is_not_utf8_is_printed(render):
    assert 'Im\\udcff.tif' in render(make_results(), mistakes=[mistake('Im\udcff.tif')]).text


@pytest.mark.parametrize('synthetic', [False, True])
@pytest.mark.parametrize('leaky', [False, True])
def test_banners_stand_exactly_where_due(render, synthetic, leaky):
    page = render(make_results(synthetic=synthetic, leaky=leaky))
    assert page.banners() == ['banner synthetic'] * synthetic + ['banner leaky'] * leaky
    assert ('these numbers say nothing about leukemia' in page.text) is synthetic
    assert ('Leaky split' in page.text) is leaky


@pytest.mark.parametrize(
    ('grouping', 'words', 'banners'),
    [
        ('patient or slide', 'grouped split (by patient or slide)', []),
        ('repeats only', 'Grouped split, by repeats only.', ['banner doubtful']),
        ('unknown', 'Grouped split, patients unknown.', ['banner doubtful']),
    ],
)
def test_a_grouped_split_says_by_what(render, grouping, words, banners):
    results = make_results()
    results['data']['grouping'] = grouping
    page = render(results)
    assert page.banners() == banners
    assert words in page.text
    results = make_results(leaky=True)  # which keeps no groups together at all
    results['data']['grouping'] = grouping
    assert render(results).banners() == ['banner leaky']


@pytest.mark.parametrize(
    ('pretraining', 'words', 'banners'),
    [
        (('ALL-IDB2', '', ()), '', []),
        (('Acevedo 2020', 'Acevedo', ('BMC', 'Acevedo')), 'trained on Acevedo before this run', ['banner leaky']),
        (('Chula', '', ('BMC', 'LISC')), 'The test set, Chula, is none of them by its name', ['banner doubtful']),
        (('', '', ('BMC', 'LISC')), 'cells before this run: BMC, LISC.', ['banner doubtful']),
        (('', '', ('BMC', 'LISC')), 'Name their set with --config.data.source', ['banner doubtful']),
    ],
)
def test_a_backbone_that_has_seen_cells_is_told(render, pretraining, words, banners):
    results = make_results()
    results['pretraining'] = dict(zip(('source', 'test_set', 'cells'), pretraining, strict=True))
    page = render(results)
    assert page.banners() == banners
    assert words in page.text


def test_numbers_have_sensible_digits(render):
    text = render(make_results(), mistakes=[mistake(), mistake(probability=0.99999)]).text
    for phrase in (
        'Accuracy 94.4% 151 of 160 test cells right',
        '87.1% to 97.0%',
        '89.7% to 97.0%',
        'L1 23 87.5% 91.3% 73.2% to 97.6% 97.8% 89.4%',
        'the “accuracy” of Shafique & Tehsin 2018',
        'L1 → normal 98.7% sure Im001_1.tif group slide 3',
        'over 99.9% sure',
        'Parameters 61,100,000',
        'Duration 3 min 0 s',
        'Speed (images/s) 33.21',
        '227 × 227 × 3',
        'Seed 1234',
        'train 12, validation 2, test 8',
        'finished 2026-11-25 15:00 UTC',
        'python launch.py --config=configs/subtype.py',
    ):
        assert phrase in text


def test_without_a_group_interval_the_page_says_why(render):
    results = make_results()
    results['test']['accuracy_ci95']['bootstrap_groups'] = None
    assert 'All test cells belong to one group' in render(results).text


def test_undefined_measures_are_a_dash_with_its_meaning(render):
    matrix = np.array([[5, 0, 0, 0], [0, 5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 0]])
    text = render(make_results(matrix)).text
    assert 'normal 0 — — — 100.0% —' in text
    assert '“—” is undefined' in text
    assert '“—” is undefined' not in render(make_results()).text


def test_more_measures_stand_under_the_classes(render):
    results = make_results()
    text, test = render(results).text, results['test']
    for name, key in (('Balanced accuracy', 'balanced_accuracy'), ('AUROC', 'macro_auroc'), ('Macro F1', 'macro_f1')):
        assert f'{name} {100 * test[key]:.1f}%' in text
    assert f'Expected calibration error {100 * test["calibration_error"]:.1f}%' in text
    assert f'Cohen’s κ {test["kappa"]:.4g}' in text
    row = test['per_class']['L2']
    assert f'{100 * row["f1"]:.1f}% {100 * row["auroc"]:.1f}% {100 * row["average_precision"]:.1f}%' in text


def test_what_a_run_scores_is_what_the_page_needs(render):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60).astype(np.int32)
    logits = (rng.normal(size=(60, 4)) + 2 * np.eye(4)[labels]).astype(np.float32)
    groups = (np.arange(60) // 5).astype(np.int32)
    cells = make_cells(labels, groups)
    scored = score(cells, logits)
    assert json.loads(json.dumps(scored, allow_nan=False)) == scored
    right = logits.argmax(1) == labels
    assert scored['accuracy'] == pytest.approx(right.mean())
    assert scored['accuracy_ci95']['bootstrap_groups'] == intervals.accuracy_bootstrap(right, groups)
    matrices = intervals.confusion_by_group(labels, logits.argmax(1), groups, 4)
    precision = partial(metrics.compute, measure='macro_precision', names=NAMES)
    assert scored['macro_precision_ci95'] == intervals.group_bootstrap(matrices, precision)
    assert scored['per_class']['L1']['auroc'] == roc_auc_score(labels == 0, softmax(logits, axis=1)[:, 0])
    assert f'AUROC {100 * scored["macro_auroc"]:.1f}%' in render({**make_results(), 'test': scored}).text


def make_cells(labels, groups):
    count = len(labels)
    return Cells(
        images=np.zeros((count, 2, 2, 3), np.uint8),
        labels=labels,
        groups=groups,
        repeats=np.arange(count, dtype=np.int32),
        names=tuple(map(str, range(count))),
        classes=tuple(NAMES),
        group_names=tuple(f'group {group}' for group in range(groups.max() + 1)),
        origin=Origin(name='made up', fingerprint='', synthetic=True, root=''),
    )


def test_a_perfect_result_warns_of_its_collapsed_interval(render):
    results = make_results(np.diag([10, 10, 10, 10]))
    results['test']['accuracy_ci95']['bootstrap_groups'] = [1.0, 1.0]
    text = render(results).text
    assert '100.0% to 100.0% Without variation between groups the bootstrap shrinks to a point' in text
    assert 'the one to quote' not in text
    assert 'None to show' in text


@pytest.mark.parametrize(
    ('fraction', 'n', 'text'),
    [
        (0.93, 160, '93.0%'),
        (998 / 999, 999, '99.9%'),
        (9999 / 10_000, 10_000, '99.990%'),
        (1.0, 5, '100.0%'),
        (None, 5, '—'),
    ],
)
def test_one_error_is_never_rounded_away(fraction, n, text):
    assert formatting.percent(fraction, n) == text


@pytest.mark.parametrize(
    ('item', 'key', 'text'),
    [
        (None, '', '—'),
        ([], 'notes', '—'),
        (True, '', 'yes'),
        (0, '', '0'),
        (61_100_000, '', '61,100,000'),
        (1234567, 'seed', '1234567'),
        (0.1 + 0.2, '', '0.3'),
        (12345.678, '', '12,346'),
        (['a', 'b'], 'notes', 'a\nb'),
        (7.25, 'seconds', '7.2 s'),
        (59.97, 'seconds', '1 min 0 s'),
        (7325.0, 'seconds', '2 h 2 min'),
        (None, 'seconds', '—'),
    ],
)
def test_values_are_readable(item, key, text):
    assert formatting.value(item, key) == text


@pytest.mark.parametrize(
    ('timestamp', 'text'),
    [
        ('2026-11-25T15:00:00+02:00', '2026-11-25 13:00 UTC'),
        ('2026-11-25T15:00:00', '2026-11-25 15:00'),
        ('yesterday', 'yesterday'),
    ],
)
def test_moments_are_in_utc(timestamp, text):
    assert formatting.timestamp(timestamp) == text
