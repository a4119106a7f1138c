"""Fixtures of all tests; annotations of array shapes are checked at run time in every one of them."""

import functools
import gc
import hashlib
import logging
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import jaxtyping
import matplotlib
import numpy as np
import pytest
from hypothesis import settings
from lazy_beartype import FirstCalls
from matplotlib.figure import Figure

sys.dont_write_bytecode = False  # where it is not kept, each process compiles 600 files: half the time of its start
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(name, '1')  # of the two processes to come: each would start threads for both cores
jaxtyping.jaxtyped = FirstCalls(jaxtyping.jaxtyped)
jaxtyping.install_import_hook('alljax', 'lazy_beartype.checked')
settings.register_profile('alljax', deadline=None, max_examples=50)  # a loaded machine is no fault of the code
settings.load_profile('alljax')

FSYNC, SAVEFIG = os.fsync, Figure.savefig
LONGEST = (
    'networks', 'detector', 'fields', 'audit', 'classical_system', 'ensemble', 'curvature', 'step', 'weight_cache',
    'plots', 'all_idb2', 'moved_data', 'readme', 'calibrated_runs', 'classifier_file', 'cpu_convolution', 'advice',
    'synthetic', 'damaged_models', 'example_gradients', 'loop', 'older_release', 'layers', 'frozen_features',
    'explain', 'external', 'alexnet_bvlc', 'protocol', 'baselines_command', 'execution', 'comparison_table',
    'cut_out', 'argument_checks', 'metrics',
)  # fmt: skip
SLOWEST = (
    'zoo', 'attribution_parity', 'method_parity', 'sweep', 'networks', 'cluster', 'lite', 'classical_system', 'timm',
    'attacks', 'cross_validation_attacks', 'kills', 'launch', 'wheel', 'training_parity', 'factored_gradients',
    'streaming', 'prediction_views', 'run_summary', 'explain', 'examples_parity', 'detector', 'curvature',
    'alexnet_parity', 'heads_together', 'transduction', 'older_release',
)  # fmt: skip
DAY = 24 * 3600  # seconds
WBC = Path(__file__).parents[2] / 'shared' / 'data' / 'wbc'


class WithoutTorch:
    """A finder of modules that finds no torch."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'torch':
            raise ModuleNotFoundError(name)


def is_quick(config):
    """Whether the slow tests are left out."""
    return 'not slow' in config.getoption('markexpr')


def pytest_configure():
    """Has XLA optimize less, also in processes: tiny programs take longer to compile than to run."""
    flags = ['--xla_backend_optimization_level=0', '--xla_llvm_disable_expensive_passes=true']
    if tuple(map(int, version('jaxlib').split('.')[:2])) < (0, 11):  # later ones have no other emitters
        flags.append('--xla_cpu_use_fusion_emitters=false')
    if platform.machine() in ('x86_64', 'AMD64'):
        # No fused multiply-add: at these levels it is the luck of a program where one is made, and so how it rounds,
        # and cells in memory and cells read from the disk are compared bit for bit.
        flags.append('--xla_cpu_max_isa=AVX')
    os.environ.setdefault('XLA_FLAGS', ' '.join(flags))


def pytest_ignore_collect(collection_path, config):
    """Spares the quick tests the imports of tests/parity, which are slow all: torch alone takes seconds."""
    return True if collection_path.name == 'parity' and is_quick(config) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Spares the garbage collector what is loaded here: it stays, and a look at it all takes half a second."""
    gc.disable()
    if is_quick(session.config):  # test files and processes compile too
        os.environ['JAX_COMPILATION_CACHE_DIR'] = str(session.config.cache.mkdir('xla'))
        os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
    # JAX 0.10 has the path of this option's folder in the key of a program: no later process would find it
    os.environ['JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES'] = 'none'
    if 'PYTEST_XDIST_WORKER' in os.environ:
        sys.meta_path.insert(0, WithoutTorch)
        import skops.io  # noqa: F401  it imports all of scikit-learn, and that torch, which takes seconds

        sys.meta_path.remove(WithoutTorch)
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(5_000, 20, 20)
        gc.enable()


def pytest_unconfigure():
    """Spares the garbage collector a last look at all that is loaded, which takes seconds as the process ends."""
    gc.freeze()


def pytest_collection_modifyitems(config, items):
    """Puts the longest files first, so that no process is left alone with one of them at the end."""
    first = LONGEST if is_quick(config) else SLOWEST
    place = {f'test_{name}.py': number for number, name in enumerate(first)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory, pytestconfig):
    """A cache folder of the tests' own, also for their processes; compiled programs are kept for the next time."""
    folder = tmp_path_factory.mktemp('cache')
    if is_quick(pytestconfig):
        (folder / 'xla').symlink_to(pytestconfig.cache.mkdir('xla'))
    os.environ['ALLJAX_CACHE'] = str(folder)
    os.environ.pop('ALLJAX_DATA', None)
    os.environ['ALLJAX_OFFLINE'] = '1'  # tests say themselves when they download
    os.environ['LOKY_MAX_CPU_COUNT'] = '1'  # features are measured here: processes for them take seconds to start
    from alljax.storage import cache

    cache.WORTH_KEEPING = 0  # many tests compile one program
    cache.keep_compiled_programs()
    return folder


@pytest.fixture(scope='session', autouse=True)
def shared_contexts(cache):
    """Ten programs after each other are lowered in one MLIR context, as JAX 0.12 does: making it is half the work."""
    from jax._src.interpreters import mlir

    make = getattr(mlir, 'make_ir_context', None)
    if make is None or hasattr(mlir, '_thread_local_context'):  # JAX does it itself, or otherwise
        yield
        return
    own = threading.local()

    def shared():
        if getattr(own, 'left', 0) == 0:
            own.context, own.left = make(), 10
        own.left -= 1
        return own.context

    mlir.make_ir_context = shared
    yield
    mlir.make_ir_context = make


@pytest.fixture(scope='session', autouse=True)
def drawings(cache, pytestconfig):
    """Keeps the drawn cells, each of which takes 50 ms, for the other process and the next time, under their code."""
    from alljax.data.synthetic import folder, ground_truth

    code = hashlib.sha256(version('numpy').encode())
    for file in sorted(Path(folder.__file__).parent.glob('*.py')):
        code.update(file.read_bytes())
    kept = pytestconfig.cache.mkdir('drawn_cells') / code.hexdigest()[:16]
    kept.mkdir(exist_ok=True)
    os.utime(kept)
    for other in kept.parent.iterdir():
        with suppress(FileNotFoundError):  # another process deletes it too
            if other.stat().st_mtime < time.time() - DAY:  # else another Python may be at work with it
                shutil.rmtree(other, ignore_errors=True)
    draw = folder.draw
    folder.draw = ground_truth.draw = functools.wraps(draw)(functools.partial(drawn_once, draw, kept))
    yield
    folder.draw = ground_truth.draw = draw


def drawn_once(draw, kept, kind, slide, rng, size=257):
    """The cell that `draw` draws, from the folder `kept` where it was drawn before."""
    from alljax.data.synthetic import Drawing

    name = hashlib.sha256(repr((kind, slide, rng.bit_generator.state, size)).encode()).hexdigest()[:24]
    if not (file := kept / f'{name}.npy').exists():
        image, nucleus, cytoplasm = draw(kind, slide, rng, size)
        layers = np.dstack([image, nucleus, cytoplasm])
        with tempfile.NamedTemporaryFile(dir=kept, delete=False) as written:
            np.save(written, layers)
        os.replace(written.name, file)
    layers = np.load(file)
    return Drawing(layers[..., :3].copy(), layers[..., 3].astype(bool), layers[..., 4].astype(bool))


@pytest.fixture(scope='session', autouse=True)
def quick_png():
    """PNG files are compressed as fast as can be: their pixels stay, and so do files of one process alike."""
    from PIL import Image

    Image.init()

    save = Image.SAVE['PNG']

    def quickly(image, stream, filename, *rest):
        image.encoderinfo.setdefault('compress_level', 1)
        save(image, stream, filename, *rest)

    Image.register_save('PNG', quickly)
    yield
    Image.register_save('PNG', save)


@pytest.fixture(scope='session', autouse=True)
def unsynced():
    """Files are not waited for until they are on the disk, for there are thousands of them; `synced` waits again."""
    os.fsync = lambda descriptor: None


@pytest.fixture
def synced(monkeypatch):
    """Files are waited for, as a test that loses its power has to."""
    monkeypatch.setattr(os, 'fsync', FSYNC)


@pytest.fixture(scope='session', autouse=True)
def coarse_figures():
    """Figures are small and drawn once, laid out as it comes; sheets of outlines show few cells."""
    from alljax.runs import segmentation_sheet

    segmentation_sheet.SHOWN = 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(matplotlib.rcParams, 'savefig.dpi', 50)
        patch.setattr(Figure, 'savefig', savefig_as_it_is)
        yield


def savefig_as_it_is(figure, *arguments, **options):
    """Saves without the layout and the cut to what is drawn: each draws everything once more."""
    figure.set_layout_engine('none')
    SAVEFIG(figure, *arguments, **options | {'bbox_inches': None})


@pytest.fixture
def fine_figures(monkeypatch):
    """Figures are written as for users, for what looks at their pixels."""
    monkeypatch.setitem(matplotlib.rcParams, 'savefig.dpi', 'figure')
    monkeypatch.setattr(Figure, 'savefig', SAVEFIG)


def pytest_runtest_logstart():
    """Has the annotations of each function checked again, in every test."""
    jaxtyping.jaxtyped.begin()


@pytest.fixture(autouse=True)
def _log_as_before():
    """Leaves the log to the next test as it was: a command writes it to a stream that ends with its test."""
    root, package = logging.getLogger(), logging.getLogger('alljax')
    before = root.handlers[:], root.level, package.level, package.propagate
    yield
    root.handlers[:], root.level, package.level, package.propagate = before


@pytest.fixture(scope='session')
def drawn(tmp_path_factory):
    """An ALL-IDB2-shaped folder of 80 drawn cells on 4 slides. Copy it before changing it."""
    from alljax.data import synthetic

    root = tmp_path_factory.mktemp('drawn') / 'set'
    synthetic.write(root, 80, 0)
    return root


@pytest.fixture(scope='session')
def wbc():
    """511 real white blood cells with their slides (WBC_Dataset, MIT)."""
    if not WBC.is_dir():
        pytest.skip('the 511 cells of WBC_Dataset are not beside this checkout')
    return WBC


@pytest.fixture(scope='session')
def chromium():
    """A headless Chromium for the tests of pages that people explore."""
    executable = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not executable:
        pytest.skip('there is no Chromium on this machine')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        yield browser
        browser.close()


@contextmanager
def _pages(chromium):
    opened = []

    def open_file(path, *, width=1200, height=900, errors=False, dark=False):
        size = {'width': width, 'height': height}
        page = chromium.new_page(viewport=size, color_scheme='dark' if dark else 'light', accept_downloads=True)
        page.errors, page.requests = [], []
        page.on('console', lambda message: page.errors.append(message.text))
        page.on('pageerror', lambda error: page.errors.append(str(error)))
        page.on('request', lambda request: page.requests.append(request.url))
        page.goto(path.absolute().as_uri())
        opened.append((page, errors))
        return page

    yield open_file
    for page, errors in opened:
        asked = [url for url in page.requests[1:] if not url.startswith(('data:', 'blob:'))]
        page.close()
        assert not asked, f'the page asked for {asked}'
        assert errors or not page.errors, f'the console says {page.errors}'


@pytest.fixture
def open_page(chromium):
    """Opens an HTML file: open_page(path, width=1200, errors=False, dark=False) gives Playwright's page.

    `page.errors` are the lines that it wrote to the console, and `page.requests` all that it asked for beside the file:
    at the end of the test there must be none of either, but with errors=True.
    """
    with _pages(chromium) as open_file:
        yield open_file


@pytest.fixture(scope='module')
def open_module_page(chromium):
    """The same for a page that several tests of a file use."""
    with _pages(chromium) as open_file:
        yield open_file
