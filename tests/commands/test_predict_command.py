"""`alljax predict`: a line an image, a table, and mistakes as sentences."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from alljax.commands import predict
from alljax.errors import UserError


def test_it_reads_images_and_folders_and_tells_errors_by_row(run, drawn, tmp_path, capsys):
    images = tmp_path / 'images'
    images.mkdir()
    for name in ('Im001_1.tif', 'Im080_0.tif'):
        shutil.copy(drawn / 'ALL_IDB2' / 'img' / name, images / name)
    (images / 'broken.png').write_bytes(b'no image')
    Image.fromarray(np.full((90, 40, 3), 200, np.uint8)).save(tmp_path / 'tall.jpg')
    moved = tmp_path / 'elsewhere'
    shutil.copytree(run / 'model', moved / 'model')  # a machine with no data set
    table = tmp_path / 'out.csv'
    assert predict.main([*map(str, (moved, images, tmp_path / 'tall.jpg', '--csv', table)), '--top', '2']) == 1
    said = capsys.readouterr()
    assert 'synthetic cells' in said.err
    lines = said.out.splitlines()
    assert len(lines) == 4
    assert 'Im001_1.tif: ' in lines[0]
    assert lines[0].count('%') == 2
    assert 'broken.png: error: is no image' in lines[2]
    rows = list(csv.DictReader(table.open()))
    assert [bool(row['error']) for row in rows] == [False, False, True, False]
    assert predict.main([str(moved / 'model'), str(tmp_path / 'tall.jpg')]) == 0
    assert capsys.readouterr().out.count('%') == 1


def test_what_cannot_be_is_told(run, tmp_path):
    for arguments, words in (
        ([tmp_path, tmp_path], 'holds no model'),
        ([tmp_path / 'absent', tmp_path], 'there is no such folder'),
        ([run, tmp_path, '--top', '0'], '--top 0: expected 1 or more'),
        ([run, tmp_path, '--csv', tmp_path], 'is a folder or lies in none that exists'),
    ):
        with pytest.raises(UserError, match=words):
            predict.main([*map(str, arguments)])
