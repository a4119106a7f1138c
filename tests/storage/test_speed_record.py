"""The speed of this machine in the user's cache."""

from alljax.storage import speed_record


def test_seconds_are_kept_by_kind_and_name(monkeypatch, tmp_path):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    assert speed_record.read() == {}
    speed_record.add('a', {'step': 0.123456})
    speed_record.add('a', {'run': 8.0})
    speed_record.add('b', {'step': 1.0})
    assert speed_record.read() == {'a': {'step': 0.123, 'run': 8.0}, 'b': {'step': 1.0}}
    monkeypatch.setattr(speed_record, '_processor', lambda: 'another')
    assert speed_record.read() == {}  # of another machine
    speed_record.add('c', {'step': 2.0})
    assert speed_record.read() == {'c': {'step': 2.0}}


def test_a_damaged_file_is_measured_again_and_it_is_said(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path))
    speed_record.add('a', {'step': 1.0})
    path = tmp_path / speed_record.FILE
    good = path.read_text()
    for text in (
        good[:-20],
        *(good.replace('"step": 1.0', f'"step": {bad}') for bad in ('"fast"', 'NaN', '-1.0', 'Infinity')),
        '[]',
    ):
        path.write_text(text)
        assert speed_record.read() == {}
        assert 'it is part of the cache, and measured again' in caplog.text
        caplog.clear()
    speed_record.add('a', {'step': 2.0})
    assert speed_record.read() == {'a': {'step': 2.0}}


def test_the_time_of_all_runs_of_a_config_goes_with_the_files_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    for name, count in (('small', 4), ('large', 12)):
        (tmp_path / name / 'a').mkdir(parents=True)
        for number in range(count):
            (tmp_path / name / 'a' / f'{number}.png').touch()
    assert speed_record.whole('configs/my_cells.py', str(tmp_path / 'large')) == 0
    speed_record.add_whole('configs/my_cells.py', str(tmp_path / 'small'), 20.0)
    assert speed_record.whole('elsewhere/my_cells.py', str(tmp_path / 'large')) == 60
    assert speed_record.whole('configs/my_cells.py', str(tmp_path / 'nowhere')) == 0
    assert speed_record.whole('configs/folder.py', str(tmp_path / 'large')) == 0
