"""Files and folders that are there whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from alljax.storage.atomic import delete, delete_abandoned, new_folder, part_file, write_whole


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path):
    path = tmp_path / 'groups.csv'
    path.write_bytes(b'old')
    path.chmod(0o600)
    write_whole(path, b'new')
    assert path.read_bytes() == b'new'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ['groups.csv']


def test_what_goes_wrong_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / 'groups.csv'
    path.write_bytes(b'old')
    monkeypatch.setattr(Path, 'replace', lambda *_: (_ for _ in ()).throw(OSError('no space')))
    with pytest.raises(OSError, match='no space'):
        write_whole(path, b'new')
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['groups.csv']


def test_a_function_writes_and_what_it_raises_leaves_the_earlier_file(tmp_path):
    path = tmp_path / 'rows.npz'
    write_whole(path, lambda file: file.write(b'new'))
    with pytest.raises(ZeroDivisionError):
        write_whole(path, lambda file: file.write(b'broken') / 0)
    assert path.read_bytes() == b'new'
    assert [p.name for p in tmp_path.iterdir()] == ['rows.npz']


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'file')
    for content in (b'first', b'second'):
        write_whole(tmp_path / 'link', content)
        assert (tmp_path / 'file').read_bytes() == content
    assert (tmp_path / 'link').is_symlink()
    write_whole(Path(os.devnull), b'nothing')
    assert not Path(os.devnull).is_file()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    folder = tmp_path / 'set'

    def write_half():
        with new_folder(folder) as part:
            (part / 'half').write_text('')
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert not list(tmp_path.iterdir())
    with new_folder(folder) as part:
        (part / 'whole').write_text('')
        assert not folder.exists()
    assert [p.name for p in folder.iterdir()] == ['whole']


def test_an_earlier_folder_is_replaced_only_if_asked(tmp_path):
    folder = tmp_path / 'set'
    folder.mkdir()
    with new_folder(folder) as part:  # an empty one is no loss
        (part / 'first').write_text('')
    with pytest.raises(OSError, match='not empty'), new_folder(folder):
        pass
    assert [p.name for p in folder.iterdir()] == ['first']
    with new_folder(folder, replace=True) as part:
        (part / 'second').write_text('')
    assert [p.name for p in folder.iterdir()] == ['second']
    assert [p.name for p in tmp_path.iterdir()] == ['set']


def test_what_killed_processes_left_is_deleted_and_what_others_write_is_not(tmp_path):
    killed = subprocess.run([sys.executable, '-c', 'import os; print(os.getpid())'], capture_output=True, text=True)
    dead, alive = int(killed.stdout), os.getppid()
    for name in ('.set.part', f'.set.{dead}.part', f'.set.{os.getpid()}.part'):
        (tmp_path / name).mkdir()
    kept = {f'.set.{alive}.part', f'.set.other.{dead}.part', f'.other.{dead}.part', '.set'}
    for name in kept:
        (tmp_path / name).mkdir()
    with new_folder(tmp_path / 'set'):
        pass
    assert {p.name for p in tmp_path.iterdir()} == kept | {'set'}


def test_what_every_room_uses_loads_no_network():
    modules = ', '.join(f'alljax.storage.{name}' for name in ('atomic', 'cache', 'feature_cache', 'locks'))
    code = f'import sys, {modules}; assert not {{"flax", "jax", "orbax", "alljax.models"}} & set(sys.modules)'
    result = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


WRITE = """
import sys
from pathlib import Path
from alljax.storage.atomic import write_whole
for number in range(150):
    write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 20_000)
"""


def test_two_processes_that_write_one_file_do_not_collide(tmp_path):
    both = [
        subprocess.Popen([sys.executable, '-c', WRITE, tmp_path / 'file', letter], stderr=subprocess.PIPE, text=True,
                         cwd=Path(__file__).parents[2])
        for letter in 'ab'
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[1] for process in both]
    assert said == ['', '']
    assert (tmp_path / 'file').read_bytes() in (b'a' * 20_000, b'b' * 20_000)
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_files_of_killed_processes_are_deleted_and_those_in_use_are_not(tmp_path):
    (tmp_path / '.set.999999999-ab12.part').write_text('of a process that is gone')
    (tmp_path / '.part').write_text('of somebody else')
    (tmp_path / '.a.b.part').write_text('of somebody else')
    with part_file(tmp_path / 'set') as held:
        own = held.with_name(held.name.replace(str(os.getpid()), '999999998'))
        held.rename(own)  # as a process of another container, whose number means nothing here, holds it
        delete_abandoned(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {own.name, '.part', '.a.b.part'}
    delete_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {'.part', '.a.b.part'}


def test_a_folder_deleted_in_part_is_none(tmp_path):
    """As when a run is killed while it deletes the oldest of its checkpoints."""
    code = """
import os, shutil, sys
from pathlib import Path
from alljax.storage.atomic import delete
def killed(folder, **_):
    next(Path(folder).iterdir()).unlink()
    os._exit(1)
shutil.rmtree = killed
delete(Path(sys.argv[1]))
"""
    folder = tmp_path / '7'
    folder.mkdir()
    for name in 'ab':
        (folder / name).touch()
    assert subprocess.run([sys.executable, '-c', code, folder], check=False).returncode == 1
    (left,) = tmp_path.iterdir()
    assert left.name.startswith('.')
    assert len(list(left.iterdir())) == 1
    delete_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_renamed_is_deleted_all_the_same(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(Path, 'replace', refused)
    (tmp_path / 'old' / 'inside').mkdir(parents=True)
    delete(tmp_path / 'old')
    assert not list(tmp_path.iterdir())


def test_an_earlier_folder_stays_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder = tmp_path / 'set'
    with new_folder(folder) as part:
        (part / 'first').write_text('')
    replace = Path.replace

    def fails(path, target):
        if target == folder and (path / 'second').exists():
            raise OSError('no space')
        return replace(path, target)

    monkeypatch.setattr(Path, 'replace', fails)
    with pytest.raises(OSError, match='no space'), new_folder(folder, replace=True) as part:
        (part / 'second').write_text('')
    assert [p.name for p in folder.iterdir()] == ['first']
    assert [p.name for p in tmp_path.iterdir()] == ['set']


def test_a_disk_that_fails_is_told_with_the_name_of_the_file(tmp_path):
    def full(file):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(OSError, match='No space left') as caught:
        write_whole(tmp_path / 'a.json', full)
    assert caught.value.filename == str(tmp_path / 'a.json')
