"""The command that trains the U-Net: its mistakes are told before anything is drawn."""

import pytest

from alljax.commands import segmentation
from alljax.errors import UserError
from alljax.training.segmentation import train


def test_mistakes_are_told_first(tmp_path):
    with pytest.raises(UserError, match=f'--masks: there is no folder {tmp_path / "a"}'):
        segmentation.main([str(tmp_path / 'out'), '--masks', str(tmp_path / 'a'), str(tmp_path)])
    assert not (tmp_path / 'out').exists()


def test_scores_and_the_way_to_use_it_are_printed(tmp_path, monkeypatch, capsys):
    seen = []

    def write(wanted):
        seen.append(wanted)
        return {'held_out': {'drawn cells': {'cells': 190, 'nucleus_dice': 0.951, 'cell_dice': 0.962}}}

    monkeypatch.setattr(train, 'write', write)
    out = tmp_path / 'mine'
    assert segmentation.main([str(out), '--cells', '100', '--masks', str(tmp_path), str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'drawn cells, held out: Dice of the nucleus 0.951, of the cell 0.962 (190 cells)' in said
    assert f'--config.baseline.weights={out / "unet.safetensors"}' in said
    masks = f'--masks {tmp_path.name} {tmp_path.name}'
    assert seen[0].command == f'alljax segmentation mine --cells 100 --steps {segmentation.STEPS} --seed 0 {masks}'
