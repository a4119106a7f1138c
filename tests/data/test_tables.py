"""The tables beside the images: as spreadsheets write them, and names that stand for one file, several or none."""

import json
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from PIL import Image

from alljax.data.datasets import folder, tables

CSV = 'file,label,group\nblast/0.png,blast,s1\nblast/1.png,blast,s1\nnormal/0.png,normal,s2\nnormal/1.png,normal,s2\n'


@pytest.fixture
def root(tmp_path):
    for number, label in enumerate(('blast', 'normal')):
        (tmp_path / 'cells' / label).mkdir(parents=True)
        for cell in range(2):
            noise = np.random.default_rng(10 * number + cell).integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / 'cells' / label / f'{cell}.png')
    return tmp_path / 'cells'


def groups(root):
    listing = folder.list_cells(root)
    assert not listing.problems
    return {record.file: record.group for record in listing.records}


@pytest.mark.parametrize(
    'data',
    [
        CSV.encode(),
        CSV.encode('utf-8-sig'),
        CSV.replace(',', ';').encode(),
        ('sep=;\n' + CSV.replace(',', ';')).encode('utf-8-sig'),
        ('"sep=;"\r\n' + CSV.replace(',', ';').replace('\n', '\r\n')).encode(),
        ('SEP=,\r\n' + CSV.replace('\n', '\r\n')).encode(),
        ('sep=|\n' + CSV.replace(',', '|')).encode(),
        CSV.replace(',', '\t').encode('utf-16'),
        b'\xfe\xff' + CSV.replace(',', '\t').encode('utf-16-be'),
        CSV.replace('\n', '\r').encode(),
        CSV.replace('/', '\\').encode(),
        CSV.replace('blast/', '.\\blast\\').encode(),
        CSV.replace('blast/', 'C:\\data\\cells\\blast\\').encode(),
        CSV.replace('file,label,group', ' File , LABEL ,Group').encode(),
    ],
)
def test_what_spreadsheets_write_is_read(root, data):
    (root / 'cells.csv').write_bytes(data)
    assert groups(root) == {'blast/0.png': 's1', 'blast/1.png': 's1', 'normal/0.png': 's2', 'normal/1.png': 's2'}


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        ('file,label\nblast/0.png,Zellgröße\n'.encode('cp1252'), 'no UTF-8 text'),
        (CSV.encode('utf-16-le'), 'no UTF-8 text'),
        (b'PK\x03\x04\xff\x00', 'a spreadsheet, not CSV'),
        (b'\xd0\xcf\x11\xe0\xa1\xb1', 'a spreadsheet, not CSV'),
    ],
)
def test_what_is_no_text_is_told_with_the_remedy(root, data, said):
    (root / 'cells.csv').write_bytes(data)
    found = '\n'.join(folder.list_cells(root).problems)
    assert f'cells.csv: is {said}' in found
    assert 'save it as "CSV UTF-8"' in found


@pytest.mark.parametrize(('on_disk', 'in_table'), [('NFD', 'NFC'), ('NFC', 'NFD'), ('NFD', 'NFD')])
@pytest.mark.parametrize('table', ['cells.csv', 'groups.csv'])
def test_accents_may_be_written_in_two_ways(tmp_path, on_disk, in_table, table):
    for number, label in enumerate(('Größe', 'Maß')):
        place = tmp_path / unicodedata.normalize(on_disk, label)
        place.mkdir()
        for cell in range(2):
            noise = np.random.default_rng(10 * number + cell).integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(noise).save(place / unicodedata.normalize(on_disk, f'é{cell}.png'))
    rows = [f'{label}/é{cell}.png,{label},Gerät {cell}' for label in ('Größe', 'Maß') for cell in range(2)]
    (tmp_path / table).write_text(unicodedata.normalize(in_table, '\n'.join(['file,label,group', *rows])))
    assert sorted(groups(tmp_path).values()) == ['Gerät 0', 'Gerät 0', 'Gerät 1', 'Gerät 1']
    assert folder.list_cells(tmp_path).classes == ('Größe', 'Maß')


@pytest.mark.parametrize('table', ['cells.csv', 'groups.csv'])
def test_bare_names_that_stand_for_several_files_stop(root, table):
    (root / table).write_text('file,group\n0.png,s1\n1.png,s2\n')
    found = '\n'.join(folder.list_cells(root).problems)
    assert f'{table}: 0.png, 1.png named without a folder, but there are blast/0.png, normal/0.png' in found
    assert 'write their paths, as in blast/0.png' in found


def test_the_same_is_found_whatever_the_hash_seed(root):
    (root / 'blast' / 'only.png').write_bytes((root / 'blast' / '0.png').read_bytes())
    (root / 'groups.csv').write_text('file,group,repeat\nonly.png,s1,only.png\n0.png,s1,only.png\n')
    code = (
        'import json, sys, pathlib; from alljax.data.datasets import folder; '
        'found = folder.list_cells(pathlib.Path(sys.argv[1])); '
        'print(json.dumps([found.records, found.problems, found.notes]))'
    )
    said = {
        subprocess.run(
            [sys.executable, '-c', code, str(root)],
            env={**os.environ, 'PYTHONHASHSEED': seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ('1', '2')
    }
    assert len(said) == 1
    records, problems, _ = json.loads(said.pop())
    assert {file: group for file, _, group, _ in records}['blast/only.png'] == 's1'
    assert 'groups.csv: 0.png named without a folder' in problems[0]


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('a/x.png', ['a/x.png']),
        ('x.png', ['a/x.png', 'b/x.png']),
        ('y.png', ['b/c/y.png']),
        ('c/y.png', ['b/c/y.png']),
        ('all/b/c/y.png', ['b/c/y.png']),
        ('other/y.png', []),
        ('other/x.png', []),
        ('z.png', ['z.png']),
    ],
)
def test_a_name_stands_for_the_files_whose_path_ends_so(name, expected):
    matches = tables.match([name], ['b/x.png', 'a/x.png', 'b/c/y.png', 'z.png', 'd/z.png'])
    assert [*matches.files.values(), *matches.ambiguous.get(name, [])] == expected
    assert matches.unknown == ([] if expected else [name])


def test_one_image_under_two_names_stops(root):
    (root / 'groups.csv').write_text('file,group\nblast/0.png,s1\ncells/blast/0.png,s2\n')
    said = '\n'.join(folder.list_cells(root).problems)
    assert 'blast/0.png and cells/blast/0.png are the same image named in more than one line' in said


def test_names_in_another_case_or_without_suffix_are_matched_if_one_file_has_them():
    files = ['blast/Im1.JPG', 'blast/im2.jpg', 'normal/im2.png', 'normal/IM3.png', 'normal/3.1.png']
    matches = tables.match(['im1.jpg', 'BLAST/Im2', 'im2', 'im3', '3.1', 'im4'], files)
    assert matches.files == {
        'im1.jpg': 'blast/Im1.JPG', 'BLAST/Im2': 'blast/im2.jpg', 'im3': 'normal/IM3.png', '3.1': 'normal/3.1.png'
    }  # fmt: skip
    assert matches.ambiguous == {'im2': ['blast/im2.jpg', 'normal/im2.png']}
    assert matches.unknown == ['im4']
    assert tables.match(['a.png'], ['a.png', 'A.png']).files == {'a.png': 'a.png'}


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('first', ['', 'sep=;'])
def test_lines_may_end_as_on_any_system(tmp_path, end, first):
    (tmp_path / 'cells.csv').write_bytes(end.join(filter(None, [first, 'file;label', 'a.png;x', ''])).encode())
    problems = []
    assert tables.read(tmp_path / 'cells.csv', ('label',), problems) == {'a.png': {'label': 'x'}}
    assert not problems
