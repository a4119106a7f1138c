"""From drawn fields to the page: what is found lies where the cells are, and the page can be explored."""

import csv

import numpy as np
import pytest
from helpers import save_untrained_run
from PIL import Image

from alljax.commands import smear as command
from alljax.data.synthetic.field_folder import write_fields
from alljax.errors import UserError
from alljax.fields.boxes import iou


@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    """A drawn field, and a file that is none."""
    folder = tmp_path_factory.mktemp('fields')
    write_fields(folder / 'drawn', 1, 3, (640, 480))
    (folder / 'drawn' / 'ALL_IDB1' / 'im' / 'broken.jpg').write_bytes(b'\xff\xd8\xff\xe0 no picture')
    return folder / 'drawn' / 'ALL_IDB1'


@pytest.fixture(scope='module')
def smear(fields, tmp_path_factory):
    folder = tmp_path_factory.mktemp('smear')
    run = save_untrained_run(folder / 'run', 96)
    code = command.main([str(run), str(fields / 'im'), '--to', str(folder / 'out')])
    return code, folder / 'out'


def rows(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def boxes(lines):
    return np.array([[float(line[name]) for name in ('left', 'top', 'width', 'height')] for line in lines])


def test_cells_are_where_they_were_drawn_and_each_has_a_crop_and_a_class(smear, fields):
    code, out = smear
    assert code == 1  # of the broken file
    found, drawn = rows(out / 'cells.csv'), rows(fields / 'boxes.csv')
    assert len(found) == len(drawn) >= 2
    assert (iou(boxes(found), boxes(drawn)).max(0) > 0.5).all()
    for line in found:
        shares = [float(share) for name, share in line.items() if name.startswith('probability_')]
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        assert Image.open(out / line['file']).size[0] == Image.open(out / line['file']).size[1]
        middle = float(line['left']) + float(line['width']) / 2
        assert middle == pytest.approx(float(line['x']), abs=0.1)
    (annotated,) = (out / 'annotated').iterdir()
    assert Image.open(annotated).size == (640, 480)


def test_the_page_shows_boxes_where_the_cells_are_and_is_explored(smear, open_page):
    page = open_page(smear[1] / 'smear.html')
    lines = rows(smear[1] / 'cells.csv')
    picture = page.locator('svg').bounding_box()
    shown = [one.bounding_box() for one in page.locator('rect[data-cell]').all()]
    scale = picture['width'] / 640
    for line, box in zip(boxes(lines) * scale, shown, strict=True):
        got = box['x'] - picture['x'], box['y'] - picture['y'], box['width'], box['height']
        assert got == pytest.approx(tuple(line), abs=4)
    assert page.locator('#grid figure').count() == len(lines)
    assert page.locator('#grid .map').count() == len(lines)  # a network's heat maps
    page.locator('input[name=maps]').uncheck()
    assert not page.locator('#grid .map').first.is_visible()
    page.locator('select[name=order]').select_option('certain')
    said = [text.split()[1].rstrip('%') for text in page.locator('#grid figcaption b').all_text_contents()]
    assert said == sorted(said, key=float, reverse=True)
    page.locator('rect[data-cell="2"]').click()
    assert page.locator('#grid figure.found').get_attribute('id') == 'cell-2'
    page.locator('#cell-2 .place').click()
    assert page.locator('rect.found').get_attribute('data-cell') == '2'
    assert 'broken.jpg' in page.locator('main').inner_text()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--cell_pixels', '2'], r'--cell_pixels 2: expected 8 to 4000'),
        (['--blasts', 'L9'], r'--blasts L9: L9 is no class of this model; they are'),
    ],
)
def test_mistakes_are_told_before_the_work(smear, fields, tmp_path, arguments, words):
    run = smear[1].parent / 'run'
    with pytest.raises(UserError, match=words):
        command.main([str(run), str(fields), '--to', str(tmp_path / 'out'), *arguments])
    with pytest.raises(UserError, match='is not empty'):
        command.main([str(run), str(fields), '--to', str(smear[1])])
    assert not list(tmp_path.iterdir())
