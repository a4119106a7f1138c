import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from alljax.evaluation import comparison_chart, comparison_table, plots
from alljax.evaluation.compared_model import ComparedModel
from alljax.evaluation.comparison_table import ComparisonTable, Estimate, Row

EVIL = '"><script src=http://evil.example/x.js></script>|*a*`<img src=x onerror=alert(1)>'
FAILED = 'failed: 2 groups cannot be split in three'


def make_table(*, leaky=True, banner='', printed=True, compared=True):
    """Two experiments with two measures each; the grouped run of the second failed."""
    rgb = {'random': Estimate(0.9812345678901234, (0.95, 1.0), 304), 'grouped': Estimate(0.9, (0.85, 0.94), 104)}
    hsv = {'random': Estimate(0.7, None, 304), 'grouped': FAILED}
    gap = Estimate(0.0812345678901234, (0.02, 0.15), 104) if compared else None
    lines = [
        Row('RGB', 'precision', 0.9606 if printed else None, rgb, gap, {'random': 'reference'} if compared else {}),
        Row('RGB', 'recall', None, rgb, gap and gap._replace(interval=(-0.01, 0.15)), {}),
        Row('HSV', 'precision', 0.8313 if printed else None, hsv, None, {'random': 'p = 0.43'} if compared else {}),
        Row('HSV', 'recall', None, hsv, None, {}),
    ]
    found = {'paper': (['L1', 'normal'], np.array([[106, 1], [0, 2104]])), 'random': (['L1', 'normal'], np.eye(2))}
    return ComparisonTable(
        title='Color models',
        source='Table 1 of the paper',
        columns={'random': leaky, 'grouped': False},
        rows=lines,
        confusions={'RGB': found},
        notes=['the first note'],
        banner=banner,
        command='python launch.py --config=configs/color.py',
    )


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, words = [], []
        self.handle_starttag = lambda tag, attributes: self.tags.append((tag, dict(attributes)))
        self.handle_data = words.append
        self.feed(html)
        self.text = ' '.join(' '.join(words).split())


def written(folder, made):
    """The text of each file."""
    comparison_table.write(folder, made)
    return {kind: (folder / f'table.{kind}').read_text(encoding='utf-8') for kind in ('md', 'csv', 'html')}


@pytest.fixture(scope='module')
def chart():
    """The chart of the usual table, as PNG."""
    return comparison_table._chart(make_table())


@pytest.fixture
def render(tmp_path, monkeypatch, chart):
    """Writes a table; its chart, which no reader of text looks at, is drawn once."""
    monkeypatch.setattr(comparison_table, '_chart', lambda _: chart)
    return lambda made: written(tmp_path / 'new', made)


def records(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_four_files_and_nothing_else(tmp_path):
    comparison_table.write(tmp_path, make_table())
    comparison_table.write(tmp_path, make_table())
    assert sorted(p.name for p in tmp_path.iterdir()) == ['table.csv', 'table.html', 'table.md', 'table.png']


def test_a_failure_leaves_the_files_before(tmp_path, monkeypatch):
    comparison_table.write(tmp_path, make_table())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    monkeypatch.setattr(comparison_table, '_html', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        comparison_table.write(tmp_path, make_table(banner='synthetic cells'))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_numbers_in_markdown(render):
    rows = [line for line in render(make_table())['md'].splitlines() if line.startswith('|')]
    assert len({len(re.findall(r'(?<!\\)\|', row)) for row in rows}) == 1
    assert rows[2] == (
        '| RGB | precision | 96.06% | 98.1% (95.0% to 100.0%, n = 304) | 90.0% (85.0% to 94.0%, n = 104) '
        '| +8.1 points (+2.0 to +15.0): more than noise | reference |'
    )
    assert '(−1.0 to +15.0): within noise' in rows[3]
    assert rows[4] == f'| HSV | precision | 83.13% | 70.0% (no interval, n = 304) | {FAILED} | — | p = 0.43 |'


def test_csv_parses_back_to_the_same_values(render):
    made = make_table()
    rows = records(render(made)['csv'])
    assert len(rows) == len(made.rows)
    for row, line in zip(rows, made.rows, strict=True):
        assert (row['cell'], row['measure']) == (line.experiment, line.measure)
        assert row['paper'] == ('' if line.printed is None else repr(line.printed))
        for name, head in [('random', 'random (leaky)'), ('grouped', 'grouped'), ('gap', 'gap')]:
            number = line.gap if name == 'gap' else line.estimates[name]
            if not isinstance(number, Estimate):
                assert row[head] == (number or '')
                continue
            assert float(row[head]) == number.value
            bounds = (row[f'{head} low'], row[f'{head} high'])
            assert bounds == ('', '') if number.interval is None else tuple(map(float, bounds)) == number.interval
            assert int(row[f'{head} n']) == number.n
    assert [row['gap verdict'] for row in rows] == ['more than noise', 'within noise', '', '']
    assert rows[0]['random (leaky) against the reference'] == 'reference'


def test_csv_takes_numpys_scalars(render):
    made = make_table()
    number = Estimate(np.float64(0.5), (np.float64(0.25), np.float64(0.75)), 8)
    row = records(render(made._replace(rows=[made.rows[0]._replace(estimates={'random': number})]))['csv'])[0]
    assert [row[f'random (leaky){end}'] for end in ('', ' low', ' high', ' n')] == ['0.5', '0.25', '0.75', '8']


def test_numbers_on_the_page(render):
    page = Page(render(make_table())['html'])
    for phrase in (
        'RGB precision 96.06% 98.1% 95.0% to 100.0% n = 304 reference 90.0% 85.0% to 94.0% n = 104',
        '+8.1 +2.0 to +15.0 more than noise',
        '−1.0 to +15.0 within noise',
        f'HSV precision 83.13% 70.0% no interval n = 304 p = 0.43 {FAILED} —',
        'Beside the paper’s numbers: Table 1 of the paper.',
        'paper true ↓ L1 normal L1 106 1 normal 0 2,104',
        'random (leaky) true ↓ L1 normal L1 1 0 normal 0 1',
        'the first note',
        'python launch.py --config=configs/color.py',
    ):
        assert phrase in page.text


def test_page_is_self_contained(render):
    html = render(make_table())['html']
    page = Page(html)
    assert [a['src'][:22] for tag, a in page.tags if tag == 'img'] == ['data:image/png;base64,']
    assert not {'script', 'link', 'iframe', 'object', 'a'} & {tag for tag, _ in page.tags}
    assert any("default-src 'none'" in a.get('content', '') for _, a in page.tags)
    assert 'http' not in re.sub('http-equiv', '', html)


@pytest.mark.parametrize('leaky', [False, True])
@pytest.mark.parametrize('banner', ['', 'synthetic cells'])
def test_every_file_says_leaky_and_synthetic_exactly_where_due(render, leaky, banner):
    files = render(make_table(leaky=leaky, banner=banner))
    page = Page(files['html'])
    for text in (files['md'], files['csv'], page.text):
        assert ('random (leaky)' in text) is leaky
        assert ('synthetic cells' in text.lower()) is bool(banner)
    banners = [a['class'] for _, a in page.tags if a.get('role') == 'alert']
    assert banners == ['banner synthetic'] * bool(banner) + ['banner leaky'] * leaky
    assert any('tint' in (a.get('class') or '') for tag, a in page.tags if tag == 'th') is leaky
    assert all(row.get('remark', '') == banner for row in records(files['csv']))


@pytest.mark.parametrize(
    ('grouping', 'head'),
    [
        ('', 'grouped'),
        ('patient or slide', 'grouped'),
        ('repeats only', 'grouped (by repeats only)'),
        ('unknown', 'grouped (patients unknown)'),
    ],
)
def test_every_file_says_what_grouped_means(render, grouping, head):
    files = render(make_table()._replace(grouping=grouping))
    assert float(next(csv.DictReader(io.StringIO(files['csv'])))[head]) == 0.9
    for name in ('html', 'md'):
        text = ' '.join(Page(files[name]).text.split()) if name == 'html' else files[name]
        assert ('may stand on both sides of the split' in text) is (head != 'grouped')
        assert (head in text) is True
    assert ('banner doubtful' in files['html']) is (head != 'grouped')


def test_the_chart_says_leaky_and_synthetic(monkeypatch):
    said = {}
    monkeypatch.setattr(comparison_chart, 'dot_plot', lambda panels, series, title: said.update(locals()) or b'')
    comparison_table._chart(make_table(banner='synthetic cells'))
    assert said['title'] == 'Color models (synthetic cells)'
    assert [(s.label, s.color) for s in said['series']] == [
        ('paper', comparison_table.INK),
        ('random (leaky)', plots.VERMILION),
        ('grouped', plots.BLUE),
    ]
    assert said['panels']['precision'][1] == ('HSV', [(pytest.approx(83.13), None), (70.0, None), FAILED])
    assert said['panels']['recall'][0][1][0] is None


def test_columns_without_content_are_left_out(render):
    files = render(make_table(printed=False, compared=False))
    assert list(records(files['csv'])[0]) == [
        'cell', 'measure', *(f'{c}{end}' for c in ('random (leaky)', 'grouped') for end in ('', ' low', ' high', ' n'))
    ]  # fmt: skip
    assert '| cell | measure | random (leaky) | grouped |' in files['md']
    assert 'Table 1 of the paper' not in files['md'] + files['html']
    heads = Page(files['html']).text.split('Experiment')[1]
    assert heads.startswith(' Measure random (leaky) grouped RGB precision 98.1%')


def test_everything_from_outside_is_escaped(tmp_path):
    def altered(word):
        made = make_table(banner=word)
        lines = [
            line._replace(experiment=word, measure=word, estimates={word: word}, significance={word: word})
            for line in made.rows
        ]
        names = [word, 'normal']
        confusions = {word: {word: (names, np.eye(2, dtype=int))}}
        return made._replace(
            title=word,
            source=word,
            rows=lines,
            confusions=confusions,
            notes=[word],
            command=word,
            columns={word: True},
        )

    clean, evil = (written(tmp_path, altered(word)) for word in ('plain', EVIL))
    page = Page(evil['html'])
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page(clean['html']).tags]
    assert page.text.count(EVIL) >= 20
    row = records(evil['csv'])[0]
    assert row['cell'] == row['measure'] == row[f'{EVIL} (leaky)'] == EVIL
    grids = [[line for line in files['md'].splitlines() if line[:1] == '|'] for files in (clean, evil)]
    clean_bars, evil_bars = ([len(re.findall(r'(?<!\\)\|', row)) for row in grid] for grid in grids)
    assert clean_bars == evil_bars
    assert not re.search(r'(?<!\\)[<*`]', '\n'.join(grids[1]))


def test_a_gap_is_more_than_noise_only_if_its_interval_excludes_zero():
    bounds = {
        (0.01, 0.2): 'more than noise',
        (-0.2, -0.01): 'more than noise',
        (-0.1, 0.1): 'within noise',
        (0.0, 0.1): 'within noise',
        None: 'no interval: noise unknown',
    }
    for interval, words in bounds.items():
        assert comparison_table.verdict(Estimate(0.1, interval, 100)) == words


def test_a_table_without_lines_is_refused(tmp_path):
    with pytest.raises(ValueError, match='has no lines'):
        comparison_table.write(tmp_path, make_table()._replace(rows=[]))


@pytest.mark.parametrize(
    ('count', 'series', 'name'), [(1, 1, ''), (8, 3, 'HSV'), (16, 5, 'a $long$ name that goes on ' * 6)]
)
def test_the_chart_is_drawn_and_not_clipped(count, series, name, fine_figures):
    points = [
        comparison_chart.Point(90.0, (80.0, 89.0)),
        comparison_chart.Point(float('nan'), None),
        None,
        'failed: ' + name,
        name,
    ]
    rows = [(f'{name} {i}', points[:series]) for i in range(count)]
    styles = [comparison_chart.Series(f'{name} {i} (leaky)', plots.BLUE, 'o') for i in range(series)]
    png = comparison_chart.dot_plot({'macro precision': rows, '50% $x$': rows[:1]}, styles, title='synthetic cells')
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == 'PNG'
        assert image.width >= 1900
        dark = np.asarray(image.convert('L')) < 240
    assert dark.mean() > 0.002
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    assert not border.any()


def test_confusion_matrices_of_many_classes_are_named_and_not_tabulated(render):
    many = {'random': ([f'c{n}' for n in range(31)], np.eye(31, dtype=int))}
    table = make_table()
    page = Page(render(table._replace(confusions=table.confusions | {'<many>': many}))['html'])
    assert 'Too many classes for a table: <many>.' in page.text
    assert 'c30' not in page.text
    assert '2,104' in page.text


def test_the_model_of_a_row_is_named_and_its_runs_are_linked(render):
    models = {
        'RGB': ComparedModel(
            'alexnet', {'RGB/grouped/report.html': 'grouped'}, '3 of 30 slides make 151 of 283 errors'
        ),
        'HSV': ComparedModel(EVIL, {f'HSV/fold-{n}#/report.html': f'fold {n}' for n in range(2)}, ''),
    }
    told = render(make_table()._replace(models=models))
    page = Page(told['html'])
    assert [a['href'] for tag, a in page.tags if tag == 'a'] == [
        'RGB/grouped/report.html', 'RGB/grouped/report.html', 'HSV/fold-0%23/report.html', 'HSV/fold-1%23/report.html',
    ]  # fmt: skip
    assert 'script' not in {tag for tag, _ in page.tags}
    assert 'RGB alexnet precision' in page.text
    assert 'RGB grouped 3 of 30 slides make 151 of 283 errors HSV fold 0 , fold 1 —' in page.text
    assert '| RGB | alexnet | 3 of 30 slides make 151 of 283 errors |' in told['md']
    assert '\\<script' in told['md']
    assert not [tag for tag, _ in Page(render(make_table())['html']).tags if tag == 'a']
    assert '## Models' not in render(make_table())['md']
