"""The plan of a sweep with its times."""

from helpers import make_cells, plan_of

from alljax import config as fields
from alljax import models
from alljax.data.split import split
from alljax.evaluation import formatting
from alljax.runs import speeds
from alljax.storage import speed_record
from alljax.sweep import time_estimate
from alljax.sweep.execution import PreparedRun
from alljax.sweep.variants import NOTHING, Run, Variant
from configs import my_cells


def prepared(folds=3):
    values = my_cells.get_config()
    changes = {
        'data.root': '/nowhere', 'model.init': 'random', 'split.folds': folds, 'split.final_model': False,
        'calibration.fit': 'none', 'epochs': 3, 'batch_size': 4,
    }  # fmt: skip
    cells = make_cells([0] * 9 + [1] * 9, groups=[n // 3 for n in range(18)], size=8)
    found = []
    for fold in range(folds):
        plan = plan_of(fields.with_fields(values, {**changes, 'split.fold': fold}))
        run = Run(Variant('mine', NOTHING), 'grouped', 0, fold, NOTHING, f'mine/grouped-fold-{fold}')
        found.append(PreparedRun(run, plan, cells, cells, split(cells, plan.split, plan.seed)))
    return found


def test_a_plan_of_known_speed_is_told_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    runs = prepared()
    speed_record.add(speeds.kind(runs[0].plan), {'step': 0.5, 'picture': 1.0, 'run': 4.0})
    monkeypatch.setattr(models, 'create', None)
    told = time_estimate.describe(runs, None).splitlines()
    assert told[0].split('  ') == [
        'mine, grouped fold 1 (fold-0)', '12 cells, 12 an epoch, train', '6 are tested', '9 steps', 'about 26.5 s'
    ]  # fmt: skip
    assert told[1].rstrip().endswith('about 8.5 s')  # the pictures have their features by then
    assert told[3].startswith('3 runs, about 43.5 s one after the other')


def test_a_final_model_is_no_fold():
    runs = prepared()
    runs.append(runs[0]._replace(run=runs[0].run._replace(fold=-1, folder='final')))
    names = [work.name for work in time_estimate.works(runs).values()]
    assert names == ['fold 1 of 3', 'fold 2 of 3', 'fold 3 of 3', 'final model']


def test_what_is_not_known_is_timed_once(monkeypatch, tmp_path):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    asked = []
    monkeypatch.setattr(time_estimate, '_seconds', lambda ready: asked.append(ready) or (0.5, 1.0))
    first = time_estimate.describe(prepared(), None)
    assert len(asked) == 1
    assert time_estimate.describe(prepared(), None) == first
    assert len(asked) == 1


def test_a_run_that_ended_tells_its_speed(monkeypatch, tmp_path):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    plan = prepared()[0].plan
    monkeypatch.setattr(speeds, '_of_training', lambda *_: {'step': 0.5, 'picture': 1.0})
    for seconds in (20.0, 14.0, 30.0):
        speeds.note(plan, None, {'train': {'seconds': 5.0}}, seconds)
    assert speeds.known(plan, speed_record.read()) == speeds.Speed(0.5, 1.0, 9.0)
    assert speeds.known(plan._replace(batch_size=9), speed_record.read()) is None


def test_one_way_to_count():
    assert formatting.training_cells(295, 428, 195) == '295 cells + 428 copies, 195 an epoch'
    assert formatting.training_cells(1, 1) == '1 cell + 1 copy'
