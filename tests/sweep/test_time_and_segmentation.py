"""The second table of a sweep with classical systems."""

import csv
import json

import pytest
from test_summary import finished

from alljax.errors import UserError
from alljax.sweep import Sweep, Variant, time_and_segmentation
from alljax.sweep.summary import write
from alljax.sweep.variants import list_runs, load_sweep
from configs import common, table6


def add(folder, run, **facts):
    path = folder / run.folder / 'results.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


@pytest.fixture
def done(tmp_path):
    sweep = Sweep('Peers', [Variant('alexnet', {}), Variant('putzu2014', {}, against='alexnet')])
    runs = list_runs(sweep, common.get_config())
    for run in runs:
        finished(tmp_path, run, 30)
        seconds = {'prediction': 0.002}
        if run.variant.name == 'putzu2014':
            seconds |= {'segmentation': 0.03 if run.protocol == 'paper' else 0.05, 'features': 0.01}
            found = {'nothing_found_in_test': 0.25, 'nucleus_dice': 0.9 if run.protocol == 'paper' else 0.8}
            add(tmp_path, run, segmentation=found)
        add(tmp_path, run, seconds_a_cell=seconds)
    return tmp_path, sweep, runs


def test_means_over_runs_and_gaps_where_there_is_nothing(done):
    folder, _, runs = done
    table = time_and_segmentation.table(folder, runs)
    assert list(table.columns) == [
        'segmentation, ms', 'features, ms', 'prediction, ms', 'test cells with nothing found', 'nucleus Dice',
    ]  # fmt: skip
    assert table.rows['alexnet'] == [None, None, 0.002, None, None]
    assert table.rows['putzu2014'] == pytest.approx([0.04, 0.01, 0.002, 0.25, 0.85])


def test_it_stands_below_the_first_table_everywhere(done):
    folder, sweep, runs = done
    write(folder, sweep, runs, {})
    assert '| putzu2014 | 40 | 10 | 2 | 25% | 0.850 |' in (folder / 'table.md').read_text()
    assert '| alexnet | — | — | 2 | — | — |' in (folder / 'table.md').read_text()
    page = (folder / 'table.html').read_text()
    assert 'Time and segmentation' in page
    assert '<td>0.850</td>' in page
    rows = {row['cell']: row for row in csv.DictReader((folder / 'costs.csv').open())}
    assert float(rows['putzu2014']['segmentation, ms']) == pytest.approx(0.04)
    assert rows['alexnet']['nucleus Dice'] == ''


def test_a_sweep_of_networks_has_none(done):
    folder, _, runs = done
    alone = [run for run in runs if run.variant.name == 'alexnet']
    assert time_and_segmentation.table(folder, alone) is None


def test_table_6_has_a_row_a_system_and_task_with_the_papers_numbers():
    config = table6.get_config()
    cells = {cell.name: cell for cell in load_sweep(table6.__file__, config).variants}
    assert len(cells) == 2 * (2 + len(config.systems))
    assert cells['putzu2014, detection'].printed == {'accuracy': 0.92, 'macro_precision': None}
    assert cells['putzu2014, subtype'].printed['accuracy'] is None
    assert cells['alexnet, subtype'].printed == {'accuracy': None, 'macro_precision': pytest.approx(0.9606)}
    assert cells['moradiamin2015_fcm, subtype'].printed['accuracy'] == pytest.approx(0.956)
    assert {cell.against for name, cell in cells.items() if 'detection' in name} == {'', 'alexnet, detection'}
    assert cells['vogado2017, subtype'].fields['model.name'] == config.network
    assert 'model.name' not in cells['rawat2017, subtype'].fields
    modern = cells['efficientnet_b0, subtype'].fields
    assert modern['optimizer.name'] == 'adamw'
    assert 'augment' not in config.when.random  # so that every row is of the same copies


def test_table_6_of_other_classes_and_of_some_systems():
    config = table6.get_config()
    config.data.task, config.systems = 'classes', ('li2016',)
    sweep = load_sweep(table6.__file__, config)
    assert [cell.name for cell in sweep.variants] == ['alexnet', 'efficientnet_b0', 'li2016']
    assert all(number is None for cell in sweep.variants for number in cell.printed.values())
    config.systems = ('li2016', 'putzu')
    with pytest.raises(UserError, match=r"config.systems names 'putzu', did you mean 'putzu2014'"):
        load_sweep(table6.__file__, config)
