import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from alljax.evaluation import plots

pytestmark = pytest.mark.usefixtures('fine_figures')
LONG = ['immature granulocyte (metamyelocyte)', 'early_pre_b_lymphoblast_of_the_second_kind', 'a $b$', '50%', '_', 'L1']


def training(steps, per_epoch=10, loss=1.0):
    return [
        {'step': s, 'epoch': s / per_epoch, 'loss': loss / s, 'accuracy': 1 - 1 / (s + 1), 'images_per_second': 30.0}
        for s in range(1, steps + 1)
    ]


def validation(steps, per_epoch=10):
    return [
        {'step': s, 'epoch': s / per_epoch, 'validation_loss': 1.2 / s, 'validation_accuracy': 1 - 1.5 / s}
        for s in range(per_epoch, steps + 1, per_epoch)
    ]


def ink(path):
    """The share of pixels that are not white, and whether any touches the border."""
    with Image.open(path) as image:
        assert image.format == 'PNG'
        dark = np.asarray(image.convert('L')) < 250
    border = dark[0].any() or dark[-1].any() or dark[:, 0].any() or dark[:, -1].any()
    return dark.mean(), border


@pytest.fixture
def half_fine(monkeypatch, fine_figures):
    """Half the dots an inch: lines and margins stay what they are, in a quarter of the pixels."""
    monkeypatch.setitem(matplotlib.rcParams, 'savefig.dpi', plots.DPI / 2)


@pytest.mark.parametrize(
    ('history', 'best_epoch', 'title'),
    [
        (training(200) + validation(200), 18.0, 'synthetic cells'),
        (training(200), None, ''),
        (training(1), None, 'random split: leaky ' * 20),
        (training(3, loss=0.0), None, ''),
        ([], None, ''),
        ([row | {'loss': float('nan')} for row in training(100)], None, ''),
        ([row | {'loss': None} for row in training(5)], None, ''),
    ],
    ids=['validation', 'training only', 'one step', 'loss of zero', 'empty', 'all diverged', 'null in JSON'],
)
def test_curves_are_drawn_and_not_clipped(tmp_path, half_fine, history, best_epoch, title):
    plots.training_curves(history, tmp_path / 'curves.png', best_epoch=best_epoch, title=title)
    share, border = ink(tmp_path / 'curves.png')
    assert share > 0.004
    assert not border


def test_validation_and_best_epoch_add_ink(tmp_path, half_fine):
    plots.training_curves(training(100), tmp_path / 'a.png')
    plots.training_curves(training(100) + validation(100), tmp_path / 'b.png')
    plots.training_curves(training(100) + validation(100), tmp_path / 'c.png', best_epoch=7.0)
    shares = [ink(tmp_path / f'{name}.png')[0] for name in 'abc']
    assert shares == sorted(set(shares))


def test_steps_written_twice_by_a_resumed_run_count_once(tmp_path, half_fine):
    history = training(50)
    stale = [row | {'loss': 9.0} for row in history[30:40]]
    plots.training_curves(history, tmp_path / 'once.png')
    plots.training_curves(history[:30] + stale + history[30:], tmp_path / 'twice.png')
    assert (tmp_path / 'once.png').read_bytes() == (tmp_path / 'twice.png').read_bytes()


def test_smoothing_is_the_mean_of_the_finite_neighbors():
    values = np.array([1.0, 2.0, np.nan, 4.0, np.inf, 6.0, 7.0])
    np.testing.assert_allclose(plots._smooth(values, 3), [1.5, 1.5, 3.0, 4.0, 5.0, 6.5, 6.5])
    np.testing.assert_allclose(plots._smooth(np.array([np.nan, np.nan, np.nan, 1.0]), 3), [np.nan, np.nan, 1.0, 1.0])


@pytest.mark.parametrize('classes', [2, 4, 10])
def test_confusion_is_drawn_and_not_clipped(tmp_path, classes, fine_figures):
    matrix = np.random.default_rng(classes).integers(0, 2000, (classes, classes))
    matrix[1] = 0  # a class without cells must not divide by zero
    names = [f'{LONG[i % len(LONG)]} {i}' for i in range(classes)]
    plots.confusion_matrix(matrix, names, tmp_path / 'confusion.png', title='synthetic cells')
    share, border = ink(tmp_path / 'confusion.png')
    assert share > 0.05
    assert not border
    with Image.open(tmp_path / 'confusion.png') as image:
        assert min(image.size) >= 900


def test_an_empty_class_name_is_drawn(tmp_path):
    plots.confusion_matrix(np.eye(2, dtype=int), ['', 'normal'], tmp_path / 'confusion.png')
    assert ink(tmp_path / 'confusion.png')[0] > 0.05


@pytest.mark.slow
def test_pyplot_stays_untouched():
    check = (
        "import sys, alljax.evaluation.report, alljax.evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, '-c', check], check=True)


@pytest.mark.parametrize('classes', [13, 50, pytest.param(300, marks=pytest.mark.slow)])
def test_many_classes_are_colors_in_a_picture_that_does_not_grow(tmp_path, classes, fine_figures):
    matrix = np.diag(np.arange(classes))
    matrix[1, :5] = 1
    names = [f'{LONG[number % len(LONG)]} {number}' for number in range(classes)]
    plots.confusion_matrix(matrix, names, tmp_path / 'a.png', title='synthetic cells')
    with Image.open(tmp_path / 'a.png') as image:
        assert max(image.size) < 3000
    share, border = ink(tmp_path / 'a.png')
    assert 0.01 < share < 0.6
    assert not border


def test_of_very_many_classes_some_are_named(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, 'save', lambda figure, path, title: figures.append(figure))
    for classes in (80, 81, 300):
        plots.confusion_matrix(np.eye(classes, dtype=int), [f'c{n}' for n in range(classes)], tmp_path / 'a.png')
    labels = [[text.get_text() for text in figure.axes[0].get_yticklabels()] for figure in figures]
    assert [len(some) for some in labels] == [80, 41, 75]
    assert labels[2][:2] == ['c0 (1)', 'c4 (1)']
    assert figures[2].axes[0].get_xlabel() == 'predicted class; one name in 4 is written'
    assert figures[0].axes[0].get_xlabel() == 'predicted class'
