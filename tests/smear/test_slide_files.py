"""Whole-slide files in folders, through whichever reader is installed: searched, scored and cut out like any field."""

import csv
import json
import sys
import types

import painted_field as painted
import pytest
from helpers import save_untrained_run
from PIL import Image

from alljax.commands import crops, find, smear


class Slide:
    """A reader of slides, whose files here are PNG files by content."""

    def __init__(self, path):
        self.picture = Image.open(path).convert('RGB')
        self.dimensions = self.picture.size

    def read_region(self, place, level, size):
        return self.picture.crop((*place, place[0] + size[0], place[1] + size[1])).convert('RGBA')


@pytest.fixture
def slides(tmp_path, monkeypatch):
    """A folder of one slide with its boxes, and of one that is damaged."""
    monkeypatch.setitem(sys.modules, 'tiffslide', types.SimpleNamespace(TiffSlide=Slide))
    folder = tmp_path / 'slides'
    folder.mkdir()
    Image.fromarray(painted.field()).save(folder / 'slide.SVS', 'PNG')
    (folder / 'broken.svs').write_bytes(b'no slide')
    boxes = [(x - 30, y - 30, 60, 60) for x, y in painted.CENTERS]
    rows = [('field', 'left', 'top', 'width', 'height', 'label'), *(('slide.SVS', *box, 'white') for box in boxes)]
    (folder / 'boxes.csv').write_text('\n'.join(','.join(map(str, row)) for row in rows))
    return folder


def test_a_folder_of_slides_is_searched_and_a_damaged_one_is_told(slides, tmp_path, capsys, caplog):
    run, out = save_untrained_run(tmp_path / 'run', 96), tmp_path / 'out'
    assert smear.main([str(run), str(slides), '--to', str(out), '--truth', str(slides)]) == 1
    said = capsys.readouterr()
    assert 'slide.SVS: 6 white cells' in said.out
    assert 'broken.svs: error: is no whole-slide file that can be read' in said.out
    assert '1 of 2 fields could not be read or searched' in said.err
    assert 'half a cell: 6 found, 6 marked' in said.out
    assert 'left out' not in caplog.text  # the marks are asked for
    assert len(list(csv.DictReader((out / 'cells.csv').open(newline='')))) == len(painted.CENTERS)


def test_marked_slides_are_scored_and_cut_out(slides, tmp_path, capsys):
    assert find.main([str(slides), '--json', str(tmp_path / 'scores.json')]) == 0
    (counts,) = json.loads((tmp_path / 'scores.json').read_text())['detection']['fields']
    assert (counts['field'], counts['marked'], counts['hits']) == ('slide.SVS', 6, 6)
    assert 'broken.svs: without annotations that are used' in capsys.readouterr().out
    assert crops.main([str(slides), str(tmp_path / 'crops'), '--size', '64']) == 0
    assert len(list((tmp_path / 'crops' / 'white').iterdir())) == len(painted.CENTERS)
