"""`alljax predict` on files that are not as they should be: a row for each, kept as it comes."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax import predict as room
from alljax.commands import predict
from alljax.errors import UserError
from alljax.predict import Predictor
from alljax.storage.card import Card
from alljax.storage.growing_file import growing_file
from alljax.storage.training_pictures import TrainingPictures

LOOK = TrainingPictures(9, (30.0, 32.0, 40.0), (30.0, 32.0, 40.0), (0.0, 99.0), (-9.0, 9.0))


def shares(images, batch_size):
    """Probabilities that tell the pictures apart: the mean red of each."""
    red = images[..., 0].mean((1, 2)) / 255
    return np.stack([red, 1 - red], 1)


@pytest.fixture
def model(monkeypatch):
    """A model that needs no training, in place of any run."""
    predictor = Predictor(('a', 'b'), Card(('a', 'b'), system={}, data_size=32, pictures=LOOK), shares)
    monkeypatch.setattr(room, 'load', lambda path: predictor)
    monkeypatch.setattr(predict, 'tell_final_model', lambda path: None)  # there is no folder to look into
    return predictor


def picture(path, red=51, size=(32, 32), **options):
    Image.new('RGB', size, (red, 9, 9)).save(path, **options)
    return path


def rows(path):
    with path.open(newline='', encoding='utf8') as file:
        return list(csv.DictReader(file))


def hostile(folder):
    """Files that cannot be read, by the words that say why."""
    good = picture(folder / 'good.png').read_bytes()
    made = {
        'strip.png': '3000 × 1 pixels',
        'pipe.png': 'named pipe',
        'dir.png': 'a folder',
        'cut.png': 'damaged',
        'empty.png': 'no image',
        'absent.png': 'does not exist',
        'bomb.png': 'more pixels',
    }
    os.mkfifo(folder / 'pipe.png')
    (folder / 'dir.png').mkdir()
    picture(folder / 'strip.png', size=(3000, 1))
    (folder / 'cut.png').write_bytes(good[:60])
    (folder / 'empty.png').write_bytes(b'')
    (folder / 'bomb.png').write_bytes(b'P6 40000 40000 255\n')
    latin = folder / os.fsdecode(b'caf\xe9.png')
    latin.write_bytes(good[:60])
    return {str(folder / name): words for name, words in made.items()} | {str(latin): 'damaged'}


def test_every_file_has_its_row(model, tmp_path, capsys):
    bad, out = hostile(tmp_path), tmp_path / 'out.csv'
    broken = tmp_path / 'profile.tif'
    Image.new('CMYK', (32, 32), (0, 200, 0, 0)).save(broken, icc_profile=b'no profile')
    latin = picture(tmp_path / os.fsdecode(b'na\xefve.png'))
    files = [*bad, str(broken), str(latin), str(picture(tmp_path / '=1+1.png'))]
    assert predict.main(['run', *files, '--csv', str(out)]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(files)
    assert r'na\udcefve.png: b' in said.out
    assert f'{len(bad)} of {len(files)} files could not be read' in said.err
    found = rows(out)
    assert [bool(row['error']) for row in found] == [True] * len(bad) + [False] * 3
    for row, words in zip(found, bad.values(), strict=False):
        assert words in row['error']
        assert row['prediction'] == row['probability_a'] == row['unlike'] == ''
    assert 'color profile, which is damaged' in found[-3]['note']
    assert found[-2]['prediction'] == 'b'
    assert found[-2]['probability_a'] == '0.200000'
    assert not list(tmp_path.glob('*.part*'))


def test_a_file_that_goes_while_it_is_its_turn_has_a_row(model, tmp_path, monkeypatch):
    files = [picture(tmp_path / f'{number}.png') for number in range(5)]
    real, opened, refused = room.image_files.read, Path.open, set()

    def read(path, preparation):
        if path.name == '1.png':
            path.unlink()
        if path.name == '3.png':
            refused.add(path)
        return real(path, preparation)

    def open_(path, *options, **further):  # threads read several files at once: only this one is refused
        if path in refused:
            raise PermissionError(13, 'Permission denied')
        return opened(path, *options, **further)

    monkeypatch.setattr(Path, 'open', open_)
    monkeypatch.setattr(room.image_files, 'read', read)
    errors = [row.error for row in room.predict(model, files)]
    assert [bool(error) for error in errors] == [False, True, False, True, False]
    assert errors[1] == 'does not exist'
    assert 'may not be read' in errors[3]


def test_rows_are_kept_when_it_is_stopped(model, tmp_path, monkeypatch, capsys):
    files = [str(picture(tmp_path / f'{number:02}.png')) for number in range(60)]
    out, part = tmp_path / 'out.csv', tmp_path / 'out.csv.part'
    out.write_text('an earlier table')
    calls = []

    def stopped(images, batch_size):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return shares(images, batch_size)

    monkeypatch.setattr(room, 'load', lambda path: model._replace(probabilities=stopped))
    with pytest.raises(KeyboardInterrupt):
        predict.main(['run', *files, '--csv', str(out)])
    assert f'28 of 60 rows are in {part}' in capsys.readouterr().err
    assert out.read_text() == 'an earlier table'
    assert [row['file'] for row in rows(part)] == files[:28]
    kept = part.read_bytes()
    monkeypatch.setattr(room, 'load', lambda path: model)
    monkeypatch.setattr(predict, 'PROGRESS', 20)
    assert predict.main(['run', *files, '--csv', str(out)]) == 0
    assert f'40 of 60 files, so far in {part}2' in capsys.readouterr().err
    assert len(rows(out)) == 60
    assert part.read_bytes() == kept
    assert not (tmp_path / 'out.csv.part2').exists()


def test_a_killed_process_leaves_its_lines_in_the_part(tmp_path):
    program = (
        'import sys, time\nfrom pathlib import Path\nfrom alljax.storage.growing_file import growing_file\n'
        'with growing_file(Path(sys.argv[1])) as file:\n    while True:\n        file.add("x" * 5000 + "\\n")\n'
    )
    part = tmp_path / 'out.csv.part'
    process = subprocess.Popen([sys.executable, '-c', program, str(tmp_path / 'out.csv')])
    try:
        for _ in range(600):
            if part.exists() and part.stat().st_size > 50_000:
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert part.stat().st_size > 50_000
    *lines, last = part.read_text().split('\n')
    assert {len(line) for line in lines} == {5000}
    assert len(last) <= 5000  # the kernel may leave a write where it is, and only a part is called so
    assert not (tmp_path / 'out.csv').exists()


def test_what_cannot_be_written_is_told(model, tmp_path, monkeypatch):
    file = str(picture(tmp_path / 'a.png'))
    for place, words in (('/dev/full', 'No space left'), (str(tmp_path / ('n' * 254)), 'File name too long')):
        with pytest.raises(UserError, match=f'--csv .*cannot be written \\({words}'):
            predict.main(['run', file, '--csv', place])
    with growing_file(tmp_path / 'a.csv') as growing:
        growing.add('one\n')
        growing.add('two\n')
        with monkeypatch.context() as patched:
            patched.setattr(growing, '_file', Half(growing._file))
            with pytest.raises(OSError, match='full'):
                growing.add('a long line\n')
        assert growing.path.read_text() == 'one\ntwo\n'
    assert (tmp_path / 'a.csv').read_text() == 'one\ntwo\n'


class Half:
    """A file on a disk that becomes full in the middle of a line."""

    def __init__(self, file):
        self.file, self.calls = file, 0

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        self.calls += 1
        if self.calls == 2:
            raise OSError(28, 'full')
        return self.file.write(data[:4])


def test_nothing_but_a_heading_is_not_kept_and_a_link_stays_one(tmp_path):
    real, link = tmp_path / 'real.csv', tmp_path / 'link.csv'
    real.write_text('old')
    real.chmod(0o640)
    link.symlink_to(real)
    grown = growing_file(link)
    grown.__enter__().add('heading\n')
    grown.__exit__(RuntimeError, RuntimeError(), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['link.csv', 'real.csv']
    with growing_file(link) as growing:
        growing.add('new\n')
    assert link.is_symlink()
    assert real.read_text() == 'new\n'
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_reader_that_has_seen_enough_ends_it_without_a_traceback(model, tmp_path, monkeypatch):
    file, out = str(picture(tmp_path / 'a.png')), tmp_path / 'out.csv'
    for arguments, code in (([], 1), (['--csv', str(out)], 0)):
        reader, writer = os.pipe()
        os.close(reader)
        with monkeypatch.context() as patched, os.fdopen(writer, 'w') as stdout:
            patched.setattr(sys, 'stdout', stdout)
            assert predict.main(['run', file, file, *arguments]) == code
    assert len(rows(out)) == 2


def test_pictures_of_another_size_are_called_unlike(model, tmp_path, capsys, monkeypatch):
    files = [str(picture(tmp_path / name, size=size)) for name, size in
             (('cell.png', (32, 32)), ('field.png', (144, 90)), ('tiny.png', (12, 32)))]  # fmt: skip
    out = tmp_path / 'out.csv'
    assert predict.main(['run', *files, '--csv', str(out)]) == 0
    said = capsys.readouterr()
    assert '(unlike the training cells: 144 × 90 pixels, where training cells have 32 × 32)' in said.out
    assert '2 of 3 pictures are unlike the training cells' in said.err
    assert [row['unlike'] != '' for row in rows(out)] == [False, True, True]
    old = model._replace(card=Card(('a', 'b'), system={}, data_size=32))  # of an earlier release
    monkeypatch.setattr(room, 'load', lambda path: old)
    assert predict.main(['run', *files, '--csv', str(out)]) == 0
    said = capsys.readouterr()
    assert 'unlike' not in said.out
    assert 'does not tell how its training cells look' in said.err
    assert {row['unlike'] for row in rows(out)} == {'unknown'}
