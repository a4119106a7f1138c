"""The dictionary of data sets: what each declares, what is wrong with a choice of them, and one of the user's own."""

import numpy as np
import pytest
from PIL import Image

from alljax import config as fields
from alljax.data import datasets
from alljax.data.datasets import DATASETS, DataOptions, Dataset, Listing, Record, problems, recognized
from alljax.errors import UserError
from configs import common


@pytest.fixture
def mine(tmp_path):
    """A data set of the user's own, in DATASETS under this name, and its folder."""

    def list_cells(root, task):
        records = [Record(file.name, *file.name.split('_')[:2]) for file in sorted(root.glob('*.png'))]
        return Listing('mine', root, ('blast', 'normal'), records=records)

    rng = np.random.default_rng(0)
    (tmp_path / 'cells').mkdir()
    for number in range(8):
        name = f'{("blast", "normal")[number % 2]}_slide{number // 4}_{number}.png'
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / 'cells' / name)
    DATASETS['mine'] = Dataset(list_cells, tasks={'sepsis': ('blast', 'normal')})
    yield tmp_path / 'cells'
    del DATASETS['mine']


def test_name_task_and_root_are_told_before_any_file_is_read():
    for options, words in (
        (DataOptions('folders', '/x', 'subtype'), ["config.data.name is 'folders', did you mean 'folder'?"]),
        (DataOptions('auto', '/x', 'subtipe'), ["config.data.task is 'subtipe', did you mean 'subtype'?"]),
        (DataOptions('x', '/x', 'y'), ['config.data.name is', "it may be 'detection', 'subtype', 'classes'"]),
        (DataOptions('folder', '/x', 'subtype'), ['does not go with config.data.name=folder, whose tasks are classes']),
        (DataOptions('auto', '/x', 'classes'), ['config.data.name=all_idb2', 'or --config.data.name=folder']),
        (DataOptions('folder', '', 'detection'), ['does not go with', 'config.data.root is empty']),
    ):
        said = '\n'.join(problems(options))
        assert all(word in said for word in words), said
        with pytest.raises(UserError) as error:
            datasets.load(options, 0)
        assert list(error.value.problems) == problems(options)
    assert problems(DataOptions('auto')) == problems(DataOptions('folder', '/x', 'classes')) == []


def test_they_are_among_the_problems_of_a_config():
    config = common.get_config()
    config.data.name, config.split.test = 'folder', 2.0
    with pytest.raises(UserError) as error:
        fields.check(config)
    assert len(error.value.problems) == 3
    assert 'config.data.root is empty' in str(error.value)


def test_a_set_of_the_user_s_own_is_read_like_any_other(mine):
    assert not problems(DataOptions('mine', str(mine), 'sepsis'))
    assert "'subtype', 'classes', 'sepsis'" in problems(DataOptions('mine', str(mine), 'x'))[0]
    cells = datasets.load(DataOptions('mine', str(mine), 'sepsis', size=64), 0)
    assert cells.counts() == {'blast': 4, 'normal': 4}
    assert cells.group_names == ('slide0', 'slide1')
    assert cells.origin.name == 'mine'
    with pytest.raises(UserError, match='there is no such folder'):
        datasets.load(DataOptions('mine', str(mine / 'absent'), 'sepsis'), 0)


def test_a_label_that_is_no_class_is_told(mine):
    (mine / 'blast_slide0_0.png').rename(mine / 'blurred_slide0_0.png')
    with pytest.raises(UserError, match='cells are labelled blurred, expected blast, normal'):
        datasets.load(DataOptions('mine', str(mine), 'sepsis', size=64), 0)


def test_the_set_of_a_folder_is_known_by_its_layout(drawn, mine, tmp_path):
    assert recognized(drawn) == recognized(drawn / 'ALL_IDB2' / 'img') == ('all_idb2', 'subtype')
    assert recognized(tmp_path) == ('folder', 'classes')
    with pytest.raises(UserError, match='expected ALL_IDB2/img/ or one folder of images for each class'):
        recognized(mine)
    DATASETS['mine'] = DATASETS['mine']._replace(recognize=lambda root: 'sepsis')
    assert recognized(mine) == ('mine', 'sepsis')


def test_drawn_cells_are_known_whatever_the_set(drawn, mine):
    assert DataOptions('auto').synthetic
    assert DataOptions('auto', str(drawn)).synthetic
    assert not DataOptions('mine', str(mine)).synthetic
    assert not DataOptions('unknown', str(mine)).synthetic
