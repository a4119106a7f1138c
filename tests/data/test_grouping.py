"""The three things that groups may stand for: patients or slides, repeats only, or nothing that anyone knows."""

import shutil

import numpy as np
import pytest
from PIL import Image

from alljax.data.audit import audit_files
from alljax.data.audit.folder_listing import list_folder
from alljax.data.datasets import all_idb2, folder
from alljax.data.datasets.listing import GROUPINGS
from alljax.data.groups import merged

FILES = [f'{label}/{cell}.png' for label in ('blast', 'normal') for cell in range(3)]


@pytest.fixture
def root(tmp_path):
    for number, file in enumerate(FILES):
        path = tmp_path / 'cells' / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    return tmp_path / 'cells'


def write(root, name, rows, header='file,group'):
    (root / name).write_text('\n'.join([header, *(','.join(row) for row in rows)]))


def audited(root, *pairs):
    """Writes groups.csv as an audit does that found these pairs."""
    found = list_folder(root)
    rows = zip(
        found.files, merged(found.groups, pairs, found.unnamed_groups), ['r'] * 2 + [''] * (len(found.files) - 2),
        strict=True,
    )  # fmt: skip
    write(root, 'groups.csv', rows, ','.join(audit_files.COLUMNS))


def state(root):
    listing = folder.list_cells(root)
    assert not listing.problems
    assert listing.taken().endswith(f'({GROUPINGS[listing.grouping]})')
    return listing.grouping, '\n'.join(listing.notes)


def test_without_a_table_nothing_is_known(root):
    grouping, notes = state(root)
    assert grouping == 'unknown'
    assert 'cells of one slide may be on both sides' in notes


@pytest.mark.parametrize('pairs', [[(0, 1)], []])
def test_the_groups_of_an_audit_are_repeats_only(root, pairs):
    audited(root, *pairs)
    grouping, notes = state(root)
    assert grouping == 'repeats only'
    assert 'patients and slides are unknown: only repeats of one cell are kept together' in notes
    audited(root, *pairs)  # the second audit reads the table of the first
    assert state(root)[0] == 'repeats only'


@pytest.mark.parametrize('table', ['cells.csv', 'groups.csv'])
def test_the_groups_of_a_user_are_patients_or_slides(root, table):
    write(root, table, [(file, f's{number // 2}') for number, file in enumerate(FILES)])
    grouping, notes = state(root)
    assert grouping == 'patient or slide'
    assert 'both sides' not in notes


def test_an_audit_after_the_user_s_table_keeps_what_is_known(root):
    write(root, 'cells.csv', [(file, f's{number // 2}') for number, file in enumerate(FILES)])
    audited(root, (0, 5))
    assert state(root)[0] == 'patient or slide'
    groups = {record.file: record.group for record in folder.list_cells(root).records}
    assert groups['blast/0.png'] == groups['normal/2.png'] == groups['normal/1.png'] == 's0'


def test_a_cell_without_a_patient_makes_the_rest_doubtful(root):
    write(root, 'cells.csv', [(file, 's1' if number else '') for number, file in enumerate(FILES)])
    grouping, notes = state(root)
    assert grouping == 'repeats only'
    assert '1 of 6 cells have no patient or slide (blast/0.png)' in notes
    audited(root, (0, 1))  # it is found again on a slide that is known
    assert state(root)[0] == 'patient or slide'


def test_an_audit_writes_over_the_table_that_is_read(root):
    write(root, 'Groups.CSV', [(file, 's1') for file in FILES])
    assert list_folder(root).groups_csv.name == 'Groups.CSV'
    assert list_folder(root / 'blast').groups_csv.name == 'groups.csv'


def test_groups_named_after_files_are_repeats(root):
    write(root, 'groups.csv', [(file, FILES[0] if number < 2 else file) for number, file in enumerate(FILES)])
    assert state(root)[0] == 'repeats only'
    write(root, 'groups.csv', [(file, file) for file in FILES])
    assert state(root)[0] == 'unknown'


def test_an_audit_made_before_the_folder_was_nested_is_still_one(root):
    audited(root, (0, 1))
    for label in ('blast', 'normal'):
        (root / label / 'slide').mkdir()
        for path in (root / label).glob('*.png'):
            path.rename(path.parent / 'slide' / path.name)
    text = (root / 'groups.csv').read_text()
    (root / 'groups.csv').write_text(text.replace('blast/', 'blast/slide/').replace('normal/', 'normal/slide/'))
    assert state(root)[0] == 'repeats only'


def test_all_idb2_says_it_too(drawn, tmp_path):
    home = tmp_path / 'ALL_IDB2'
    shutil.copytree(drawn / 'ALL_IDB2', home)
    assert all_idb2.list_cells(home, 'detection').grouping == 'patient or slide'
    (home / 'groups.csv').unlink()
    assert all_idb2.list_cells(home, 'detection').grouping == 'repeats only'  # those that were published
    found = list_folder(home)
    write(home, 'groups.csv', zip(found.files, found.groups, [''] * len(found.files), strict=True), 'file,group,repeat')
    listing = all_idb2.list_cells(home, 'detection')
    assert listing.grouping == 'repeats only'
    assert any('patients and slides are unknown' in note for note in listing.notes)


def test_no_table_parts_what_the_other_keeps_together(root):
    write(root, 'cells.csv', [(file, f's{number}') for number, file in enumerate(FILES)])
    audited(root, (0, 5))
    write(root, 'cells.csv', [(file, f'p{number // 2}') for number, file in enumerate(FILES)])  # corrected afterwards
    grouping, notes = state(root)
    groups = [record.group for record in folder.list_cells(root).records]
    assert groups[0] == groups[1] == groups[5] == groups[4]
    assert groups[2] == groups[3] == 'p1'
    assert len({*groups}) == 2
    assert grouping == 'patient or slide'
    assert 'groups.csv: its 5 groups and the 3 that were known without it are joined to 2' in notes
    audited(root)
    assert 'are joined' not in state(root)[1]
    assert [record.group for record in folder.list_cells(root).records] == groups


def test_slides_named_after_an_audit_are_taken(root):
    audited(root, (0, 1))
    write(root, 'cells.csv', [(file, f'p{number // 2}') for number, file in enumerate(FILES)])
    assert state(root)[0] == 'patient or slide'
    assert [record.group for record in folder.list_cells(root).records] == ['p0', 'p0', 'p1', 'p1', 'p2', 'p2']


@pytest.mark.parametrize('table', ['cells.csv', 'groups.csv'])
@pytest.mark.parametrize('said', ['unknown', 'NaN', 'n/a', '?'])
def test_a_placeholder_is_no_slide(root, table, said):
    write(root, table, [(file, said) for file in FILES])
    assert state(root)[0] == 'unknown'
    assert len({record.group for record in folder.list_cells(root).records}) == len(FILES)
