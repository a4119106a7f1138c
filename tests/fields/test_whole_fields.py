"""Whole fields are told from single cells, and the sentence names the commands that fit them."""

import numpy as np
import painted_field as painted
from PIL import Image

from alljax.fields import field_image, whole_fields


def test_a_field_is_named_with_the_commands_that_fit_it_and_a_cell_is_not(tmp_path):
    Image.fromarray(painted.field()).save(tmp_path / 'field.png')
    cell = painted.field()[120:260, 80:220]
    Image.fromarray(np.asarray(Image.fromarray(cell).resize((420, 420)))).save(tmp_path / 'cell.png')
    said = whole_fields.sentence([tmp_path / 'field.png', tmp_path / 'cell.png', tmp_path / 'gone.png'])
    assert said.startswith('1 of 2 large pictures that were looked at looks like a whole field, not a single cell')
    assert '(field.png: 480 × 260 pixels, 6 white cells and ' in said
    assert 'alljax crops' in said
    assert 'alljax smear RUN FIELD' in said
    assert whole_fields.sentence([tmp_path / 'cell.png']) == ''
    Image.fromarray(painted.field()).save(tmp_path / 'other.png')
    two = whole_fields.sentence([tmp_path / 'field.png', tmp_path / 'other.png'])
    assert two.startswith('2 of 2 large pictures that were looked at look like whole fields')
    assert 'red ones; also other.png): cut' in two
    assert whole_fields.seen_in(field_image.from_pixels(cell)) == ''
