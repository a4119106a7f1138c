"""Concepts in folders, tested on a network whose logit is known to rise along one of them."""

import csv

import numpy as np
import pytest
from helpers import save_untrained_run
from PIL import Image

from alljax.commands import explain as command
from alljax.explain import concepts


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return save_untrained_run(tmp_path_factory.mktemp('run'), 96)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Images of noise, and some of them with stripes."""
    root, rng = tmp_path_factory.mktemp('concepts'), np.random.default_rng(0)
    for name, count in (('striped', 5), ('random', 8), ('cells', 3)):
        (root / name).mkdir()
        for number in range(count):
            pixels = rng.integers(90, 160, (96, 96, 3), np.uint8)
            if name == 'striped':
                pixels[:, ::8] = 250
            Image.fromarray(pixels).save(root / name / f'{number}.png')
    return root


@pytest.mark.slow
def test_a_table_says_which_concepts_a_class_rises_along(run, folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(concepts, 'RUNS', 4)
    given = [run, folders / 'cells', '--to', tmp_path / 'out', '--target', 'L2', '--concept', folders / 'striped',
             '--random', folders / 'random']  # fmt: skip
    assert command.main([str(one) for one in given]) == 0
    (row,) = csv.DictReader((tmp_path / 'out' / 'concepts.csv').open(newline=''))
    assert (row['class'], row['images'], row['layer']) == ('L2', '3', 'conv5')
    assert 0 <= float(row['score']) <= 1
    assert float(row['accuracy']) > 0.8  # stripes are easily told
    said = capsys.readouterr().out
    assert f'{folders / "striped"}  L2 (3): ' in said
    assert 'told apart ' in said


def test_folders_that_cannot_be_used_are_told_together(run, folders, tmp_path, capsys):
    (tmp_path / 'one').mkdir()
    Image.new('RGB', (20, 20)).save(tmp_path / 'one' / 'a.png')
    given = [run, folders / 'cells', '--to', tmp_path / 'out', '--concept', tmp_path / 'one', tmp_path / 'absent']
    with pytest.raises(Exception, match='expected --random FOLDER') as caught:
        command.main([str(one) for one in given])
    said = '\n'.join(caught.value.problems)
    assert '1 images; expected 3 or more' in said
    assert 'absent' in said
    assert not (tmp_path / 'out').exists()


def test_what_counts_is_corrected_for_all_that_was_tested():
    assert concepts.significant([0.01, 0.04, 0.5, float('nan')]) == [True, False, False, False]
    assert concepts.significant([0.04]) == [True]
    assert concepts.significant([0.02, 0.021, 0.04]) == [False, False, False]
