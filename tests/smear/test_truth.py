"""What is found against what people marked: scored with a run, and refused where the run has seen these cells."""

import json
from dataclasses import replace

import pytest
from helpers import save_untrained_run

from alljax.commands import smear as command
from alljax.data.synthetic.field_folder import write_fields
from alljax.data.synthetic.folder import MARKER
from alljax.errors import UserError
from alljax.smear import truth
from alljax.storage import model_folder


@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp('truth')
    write_fields(folder, 2, 3, (480, 360))
    return folder / 'ALL_IDB1'


def test_a_smear_is_scored_and_its_fields_are_called(fields, tmp_path, capsys, open_page):
    run = save_untrained_run(tmp_path / 'run', 96)
    command.main([str(run), str(fields / 'im'), '--to', str(tmp_path / 'out'), '--truth', str(fields)])
    said = capsys.readouterr().out
    assert 'by IoU 0.5:' in said
    assert 'fields called by any blast:' in said
    found = json.loads((tmp_path / 'out' / 'scores.json').read_text())
    assert [one['is_blast'] for one in found['field_calls']['fields']] == [True, False]
    page = open_page(tmp_path / 'out' / 'smear.html')
    shown = page.locator('section', has_text='Against what was marked')
    rows = [row.locator('th, td').all_inner_texts() for row in shown.locator('tbody tr').all()]
    half = found['detection']['criteria']['half a cell']
    assert rows[0][1] == f'{half["found"]} found, {half["marked"]} marked'
    assert rows[3][0].startswith('F1')
    assert rows[3][1].startswith(f'{half["f1"]:.1%}')
    assert rows[6][:2] == ['any blast', '2']
    assert 'no threshold on the share of blasts was chosen' in shown.inner_text()


def test_fields_of_all_idb1_are_not_scored_with_a_model_of_all_idb2(fields, tmp_path):
    run = save_untrained_run(tmp_path / 'run', 96)
    (fields / MARKER).rename(fields / 'elsewhere.json')
    try:
        marks = truth.read(truth.Asked(fields))
        truth.refuse_trained(run, marks)  # a model of another set
        folder = model_folder.find(run)
        card = replace(model_folder.read_card(folder), trained_on=('ALL-IDB2',))
        model_folder.write(folder, model_folder.read_variables(folder), card)
        with pytest.raises(UserError, match='is ALL-IDB1, and the training set is ALL-IDB2; the cells of ALL-IDB2'):
            truth.refuse_trained(run, marks)
    finally:
        (fields / 'elsewhere.json').rename(fields / MARKER)


def test_arguments_about_marks_need_marks(fields, tmp_path):
    with pytest.raises(UserError, match='--label: belongs to marked fields; name their folder with --truth DIR'):
        command.main([str(tmp_path), str(fields), '--label', 'WBC'])
