"""The scores of many fields: each criterion that the marks allow, in words and as JSON."""

import json

import numpy as np
import pytest

from alljax.errors import UserError
from alljax.fields import detection_score, field_labels
from alljax.fields.boxes import Marks, centers_of
from alljax.fields.white_cells import Found


def found(boxes):
    boxes = np.array(boxes, float).reshape(-1, 4)
    return Found(centers_of(boxes), boxes, boxes[:, 2] * boxes[:, 3], np.linspace(0.9, 0.5, len(boxes)))


def marks(field, boxes, *, centers_only=False):
    boxes = np.array(boxes, float).reshape(-1, 4)
    return Marks(field, centers_of(boxes), ('',) * len(boxes), None if centers_only else boxes)


CELL, OTHER, SMALL = (0, 0, 10, 10), (50, 50, 10, 10), (3, 3, 4, 4)


def compared(*, centers_only=False):
    pairs = [('a.png', [CELL], [CELL, OTHER]), ('b.png', [SMALL, OTHER], [CELL])]
    return [
        detection_score.compared(found(one), marks(field, truth, centers_only=centers_only), 10.0, field)
        for field, one, truth in pairs
    ]


def test_scores_by_middles_and_by_boxes_are_those_counted_by_hand():
    by_center, by_box = detection_score.scores(compared())
    assert (by_center.criterion, by_center.found, by_center.marked) == ('half a cell', 3, 3)
    assert by_center.measures.f1 == pytest.approx(2 / 3)
    assert by_box.measures.f1 == pytest.approx(1 / 3)  # the small box is at the place, but not of the size
    said = detection_score.lines([by_center, by_box])
    assert said[0] == 'by half a cell: 3 found, 3 marked white cells of 2 fields'
    assert any('count error' in line and '+0.0%' in line for line in said)


def test_centers_alone_give_no_score_of_boxes_and_json_has_no_nan():
    scores = detection_score.scores(compared(centers_only=True))
    assert [one.criterion for one in scores] == ['half a cell']
    about = json.loads(json.dumps(detection_score.about(scores, compared(centers_only=True)), allow_nan=False))
    assert about['fields'][1] == {
        'field': 'b.png',
        'group': 'b.png',
        'marked': 1,
        'found': 2,
        'hits': 1,
        'hits_by_box': None,
    }


def test_labels_of_fields_come_from_a_table_or_from_the_names_of_all_idb1(tmp_path):
    assert field_labels.from_names(['im/Im001_1.jpg', 'im/Im034_0.jpg']) == {
        'im/Im001_1.jpg': 'blast', 'im/Im034_0.jpg': 'normal',
    }  # fmt: skip
    assert field_labels.from_names(['im/Im001_1.jpg', 'other.jpg']) == {}
    table = tmp_path / 'labels.csv'
    table.write_text('field,label\na.png,1\nb.png,Normal\n')
    assert field_labels.from_table(table, ['a.png', 'b.png']) == {'a.png': 'blast', 'b.png': 'normal'}
    table.write_text('field,label\na.png,sick\nb.png,normal\n')
    with pytest.raises(UserError, match=r'labels.csv: has the labels sick; a field is blast \(or 1\) or normal'):
        field_labels.from_table(table, ['a.png', 'b.png'])
