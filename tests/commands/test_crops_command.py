"""`alljax crops`: what it writes and says, its exit code, and mistakes as sentences."""

import numpy as np
import pytest
from PIL import Image

from alljax import commands
from alljax.commands import crops


@pytest.fixture
def fields(tmp_path):
    """Two fields with boxes in one table, of which one has no size."""
    root = tmp_path / 'fields'
    root.mkdir()
    for name in ('s1-a', 's1-b'):
        Image.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(root / f'{name}.png')
    (root / 'boxes.csv').write_text(
        'field,left,top,width,height,label\n'
        's1-a.png,10,10,20,20,WBC\ns1-a.png,40,10,20,20,blast\ns1-b.png,40,30,20,20,blast\n'
        's1-b.png,70,30,9,9,RBC\ns1-b.png,70,30,0,9,blast\n'
    )
    return root


def test_it_writes_crops_and_tells_what_is_left_out(tmp_path, capsys, fields):
    (tmp_path / 'names.csv').write_text('label,name\nWBC,normal\n')
    given = ['--cell_pixels', 'boxes', '--group_pattern', r'^(\w+)-', '--names', str(tmp_path / 'names.csv')]
    assert crops.main([str(fields), str(tmp_path / 'out'), *given]) == 1  # for the box without a size
    said = capsys.readouterr()
    assert 'boxes.csv: blast at 70, 34 has no width or no height' in said.err
    assert said.out.splitlines()[:4] == [
        f'3 crops of 257 × 257 pixels from 2 fields (csv) in {tmp_path / "out"}',
        'classes: blast 2, normal 1',
        'scale: a white cell of 20 pixels becomes one of 144, as in ALL-IDB2',
        'note: left out, as no white cells: RBC 1; --label takes them',
    ]
    assert (tmp_path / 'out' / 'cells.csv').read_text().splitlines()[1] == 'normal/s1-a_x20_y20.png,normal,s1'
    assert crops.main([str(fields), str(tmp_path / 'red'), '--label', 'RBC', '--size', '33']) == 0
    assert Image.open(tmp_path / 'red' / 'RBC' / 's1-b_x74_y34.png').size == (33, 33)


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (['--cell_pixels', 'many'], '--cell_pixels many: expected boxes, or the pixels across a white cell'),
        (['--size', '3'], '--size 3: expected 16 to 4096 pixels'),
        (['--label', 'WCB'], "--label WCB: no cell has it, did you mean 'WBC'?"),
        (['--groups', 'x.csv', '--group_pattern', 'x'], '--groups and --group_pattern exclude each other'),
        (['--group_pattern', '^(t)'], 'finds nothing in s1-a.png, s1-b.png'),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path, capsys, fields, given, words):
    with pytest.raises(SystemExit) as caught:
        commands.run('crops', [str(fields), str(tmp_path / 'out'), *given])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
