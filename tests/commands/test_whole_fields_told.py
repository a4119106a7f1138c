"""Whole fields among single cells: predict, audit, a run and a sweep say so, each once, and which command fits."""

import logging
from functools import partial

import painted_field as painted
import pytest
from helpers import save_untrained_run
from PIL import Image

from alljax import config
from alljax.commands import audit, predict
from alljax.errors import UserError
from alljax.runs import experiment
from alljax.sweep import execution
from alljax.sweep.variants import list_runs, load_sweep
from configs import folder

SAID = 'field.png looks like a whole field, not a single cell (480 × 260 pixels, 6 white cells and '
FIX = 'red ones): cut their cells out with alljax crops, or let alljax smear RUN FIELD find and classify them'


@pytest.fixture(scope='module')
def cells(tmp_path_factory):
    """Two class folders of three crops each, and a whole field in the first."""
    root = tmp_path_factory.mktemp('cells')
    pixels = painted.field()
    for number, (x, y) in enumerate(painted.CENTERS.astype(int)):
        place = root / ('round' if number < 3 else 'lobed')
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels[max(0, y - 48) : y + 48, x - 48 : x + 48]).save(place / f'{number}.png')
    Image.fromarray(pixels).save(root / 'round' / 'field.png')
    return root


def told(lines):
    """How often the sentence is among some lines."""
    return sum(SAID in line and FIX in line for line in lines)


def test_predict_and_audit_tell_them(cells, tmp_path, capsys):
    run = save_untrained_run(tmp_path / 'run', 96)
    assert predict.main([str(run), str(cells / 'round')]) == 0
    said = capsys.readouterr()
    assert told(said.err.splitlines()) == 1
    assert 'field.png: ' in said.out  # and it is answered all the same
    assert audit.main([str(cells), '--out', str(tmp_path / 'audit')]) == 0
    assert told(capsys.readouterr().err.splitlines()) == 1


def test_a_run_tells_them_and_a_sweep_does_so_once(cells, tmp_path, caplog):
    values = folder.get_config()
    given = {'data.root': str(cells), 'data.size': '64', 'split.folds': '2', 'model.init': 'random'}
    config.override(values, given)
    runs = list_runs(
        load_sweep(folder.__file__, values, given), values, partial(execution.number_of_groups, overrides=given)
    )
    assert len(runs) == 2
    with caplog.at_level(logging.WARNING, 'alljax'):
        prepared = execution.prepare(runs, values, given)
        assert told(caplog.messages) == 1
        caplog.clear()
        for several in (True, False):
            with pytest.raises(UserError, match='was trained on other cells'):  # stops it before it trains
                experiment.run(prepared[0].plan, tmp_path / f'run-{several}', 'others', of_several=several)
            assert told(caplog.messages) == (not several)
