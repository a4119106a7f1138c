"""Long work on a terminal, and told to a listener."""

from alljax.storage import progress_bar
from alljax.storage.progress_bar import Stage


def test_a_listener_hears_of_all_work_and_no_bar_is_drawn(capsys):
    heard = []
    with progress_bar.heard_by(heard.append):
        assert progress_bar.has_listener()
        with progress_bar.shown('features', 3, ' images') as bar:
            bar.update(2)
        assert list(progress_bar.each('ab', 'reading', 2, ' files')) == ['a', 'b']
    assert not progress_bar.has_listener()
    assert heard[:2] == [Stage('features', 0, 3, ' images'), Stage('features', 2, 3, ' images')]
    assert heard[-1] == Stage('reading', 2, 2, ' files')
    with progress_bar.shown('alone', 3) as bar:  # in a log, where nobody looks at a bar
        bar.update(1)
    assert capsys.readouterr().err == ''


def test_a_listener_far_away_hears_of_what_is_new_and_of_ends():
    heard = []
    tell = progress_bar.throttled(heard.append, seconds=100.0)
    for done in range(5):
        tell(Stage('epoch 1', done, 4))
    tell(Stage('epoch 2', 1, 4))
    assert [stage.done for stage in heard] == [0, 4, 1]
