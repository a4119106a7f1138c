"""The side of a run that a file was on: by its place, as a copy, and for models that have seen every cell."""

import json

import pytest

from alljax.runs import own_cells

FILES = ('a/1.png', 'a/2.png', 'b/1.png', 'b/2.png')


@pytest.fixture
def run(tmp_path):
    """A finished run on four files, with a test cell of each class; its folder and that of the files."""
    data, folder = tmp_path / 'data', tmp_path / 'run'
    folder.mkdir()
    for name in FILES:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(f'picture {name}')

    def finished(tested=('a/1.png', 'b/1.png'), leaky=False):
        found = {'data': {'root': str(data), 'counts': {'a': 2, 'b': 2}}, 'test': {},
                 'split': {'leaky': leaky, 'test_n': len(tested)}}  # fmt: skip
        (folder / 'results.json').write_text(json.dumps(found))
        rows = ['file,label,prediction', *(f'{name},{name[0]},a' for name in tested)]
        (folder / 'predictions.csv').write_text('\n'.join(rows) + '\n')
        return folder

    return finished, data


def test_test_cells_are_unseen_and_have_a_class(run, tmp_path):
    finished, data = run
    own = own_cells.of_run(finished())
    assert own.sides(data / name for name in FILES) == ['unseen', 'seen', 'unseen', 'seen']
    assert [own.label(data / name) for name in FILES] == ['a', '', 'b', '']
    assert own_cells.of_run(finished() / 'model') == own
    elsewhere = tmp_path / 'mine.png'
    elsewhere.write_text('picture of mine')
    copy = tmp_path / 'copy.png'
    copy.write_text('picture a/2.png')
    assert own.sides([elsewhere, copy, tmp_path / 'absent']) == ['outside', 'seen', 'outside']


@pytest.mark.parametrize('options', [{'leaky': True}, {'tested': FILES}, {'tested': ()}])
def test_a_model_that_has_seen_every_cell(run, options):
    finished, data = run
    assert own_cells.of_run(finished(**options)).sides(data / name for name in FILES) == ['seen'] * 4


def test_a_model_without_its_run_tells_nothing(run, tmp_path):
    assert own_cells.of_run(tmp_path) is None
    folder = run[0]()
    (folder / 'results.json').write_text('{')
    assert own_cells.of_run(folder) is None
