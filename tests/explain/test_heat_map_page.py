"""The page of heat maps: true classes, layers in words, and marks on maps that ring the border, from made maps."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import save_untrained_run

from alljax.data.audit.shortcuts import Shortcut
from alljax.data.image_files import ImageFile
from alljax.explain import heat_map_page, true_class
from alljax.explain.measurements import Explanation, ScoredMap
from alljax.explain.methods import Options
from alljax.explain.request import CheckedRequest
from alljax.runs import network
from alljax.runs.training_shortcuts import TrainingShortcuts

SIDE = 32
FILE = Path('/cells/normal/slide 1/<b>a.png')


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch):
    monkeypatch.setattr(heat_map_page.overlays, 'faithfulness_curves', lambda *_: b'')  # half a second each


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return save_untrained_run(tmp_path_factory.mktemp('page') / 'run', SIDE * 3)


def page(run, tmp_path, ringing):
    """The page of one cell, whose first map rings the border or does not."""
    found = network.load(run)
    edge = np.ones((SIDE, SIDE), bool)
    edge[4:-4, 4:-4] = False
    curve = np.linspace(1, 0, 21)
    maps = {
        'gradcam': np.where(edge, 1.0, 0.1) if ringing else np.where(edge, 0.1, 1.0),
        'saliency': np.ones((SIDE, SIDE)),
    }
    scored = {name: ScoredMap(one, 0.4, 0.6, curve, curve, {}) for name, one in maps.items()}
    pixels = np.full((SIDE, SIDE, 3), 120, np.uint8)
    cell = Explanation(str(FILE), '', pixels, np.array([0.1, 0.6, 0.2, 0.1]), 1, scored)
    known = true_class.of_files([FILE], found.classes, run)
    request = CheckedRequest(found, 'my run', tmp_path, [ImageFile(FILE, pixels, '', (SIDE, SIDE))], [], list(maps),
                             Options('conv5', 4), None, [], known)  # fmt: skip
    border = Shortcut('border', '', 0.8, (0.7, 0.9), 0.25, 'says much about the label')
    html = heat_map_page.render(request, [cell], TrainingShortcuts((border,)) if ringing else None)
    return re.sub(r'\s+', ' ', re.sub(r'<style>.*?</style>', '', html, flags=re.DOTALL))


def test_a_map_that_rings_the_border_is_marked_and_the_audit_is_asked(run, tmp_path):
    text = page(run, tmp_path, ringing=True)
    for words in ('Grad-CAM on 1 of 1.', 'tells the class: right in 80% (70% to 90%), by chance in 25%',
                  'The map is that of the last convolution, 5 × 5 positions, 26 channels (conv5), enlarged',
                  'true class normal (by its folder): the prediction is wrong', 'alt="the image as'):  # fmt: skip
        assert words in text, words
    assert text.count('rings the border:') == 1
    assert '<b>a' not in text


def test_nothing_is_said_of_maps_that_do_not_ring(run, tmp_path):
    text = page(run, tmp_path, ringing=False)
    assert 'border' not in text


def test_the_folder_that_a_picture_lies_in_names_its_class(tmp_path):
    files = [Path(name) for name in ('/x/NORMAL/a.png', '/x/blast/slide 2/a.png', '/blast/x/y/a.png', '/x/y/a.png')]
    found = true_class.of_files(files, ('blast', 'normal'), tmp_path)
    assert [found[file].name if file in found else '' for file in files] == ['normal', 'blast', '', '']
