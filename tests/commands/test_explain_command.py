"""`alljax explain`: mistakes as sentences, all at once; what it writes is told in tests/explain."""

import pytest

from alljax.commands import explain
from alljax.errors import UserError


@pytest.fixture(scope='module')
def cells(drawn):
    return sorted((drawn / 'ALL_IDB2' / 'img').iterdir())


def test_everything_that_is_wrong_is_said_at_once_before_the_work(run, tmp_path):
    (tmp_path / 'empty').mkdir()
    arguments = ['--methods', 'gradcm,smooth', '--target', 'norml', '--layer', 'conv6', '--to', str(run),
                 '--batch_size', '0']  # fmt: skip
    with pytest.raises(UserError) as error:
        explain.main([str(run), str(tmp_path / 'empty'), *arguments])
    said = str(error.value)
    assert said.startswith('6 problems')
    for words in ("did you mean 'gradcam'", "did you mean 'normal'", "did you mean 'conv", 'is not empty',
                  '--batch_size 0', 'is a folder without images'):  # fmt: skip
        assert words in said


def test_a_run_that_is_none_is_told_with_the_other_mistakes(tmp_path):
    with pytest.raises(UserError) as error:
        explain.main([str(tmp_path / 'absent'), str(tmp_path), '--methods', 'foo'])
    assert 'there is no such folder' in str(error.value)
    assert "no method 'foo'" in str(error.value)


def test_a_folder_that_cannot_be_made_is_told(run, cells, tmp_path):
    (tmp_path / 'file').write_text('')
    for to in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(UserError, match='--to'):
            explain.main([str(run), str(cells[0]), '--to', str(to)])


def test_images_or_a_summary_have_to_be_asked_for(run):
    with pytest.raises(UserError, match='name images, or folders of them; or ask for --summary'):
        explain.main([str(run)])
