import csv
import json
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alljax.data.synthetic import CLASSES, Drawing, draw, plan, slide, write
from alljax.data.synthetic import folder as synthetic_folder
from alljax.data.synthetic.appearance import APPEARANCES, Appearance, blend
from alljax.data.synthetic.texture import noise
from alljax.errors import UserError


@pytest.fixture
def drawn_anew(monkeypatch):
    """Every cell is drawn, also one that the tests have kept (conftest.py)."""
    monkeypatch.setattr(synthetic_folder, 'draw', draw)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def drawn() -> list[tuple[str, int, Drawing]]:
    """Balanced classes on five slides."""
    slides = [slide(5, number) for number in range(1, 6)]
    return [
        (CLASSES[i % 4], i // 20, synthetic_folder.draw(CLASSES[i % 4], slides[i // 20], np.random.default_rng([5, i])))
        for i in range(100)
    ]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('drawn') / 'set'
    write(out, cells=40, seed=3)
    return out


def test_a_drawing_depends_on_its_seed_alone() -> None:
    first, again = (draw('L2', slide(0, 1), np.random.default_rng(1)) for _ in range(2))
    other = draw('L2', slide(0, 1), np.random.default_rng(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.image, other.image)


def test_slides_depend_on_seed_and_number() -> None:
    assert slide(0, 1) == slide(0, 1)
    assert len({slide(0, 1).light, slide(0, 2).light, slide(1, 1).light}) == 3


@pytest.mark.parametrize('size', [64, 257, 300])
def test_a_drawing_fills_a_crop_of_any_size(size: int) -> None:
    image, nucleus, cytoplasm = draw('L3', slide(0, 1), np.random.default_rng(0), size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert nucleus.shape == cytoplasm.shape == (size, size)
    assert 0.05 < (nucleus | cytoplasm).mean() < 0.5


def test_a_class_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'L4'.*L1, L2, L3, normal"):
        draw('L4', slide(0, 1), np.random.default_rng(0))


def test_masks_agree_with_each_other_and_with_the_image(drawn: list[tuple[str, int, Drawing]]) -> None:
    for _, _, (image, nucleus, cytoplasm) in drawn:
        assert not (nucleus & cytoplasm).any()
        cell = nucleus | cytoplasm
        assert cell[128, 128]
        border = np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])
        assert not border.any()
        green = image[..., 1].astype(float)
        assert green[nucleus].mean() < green[cytoplasm].mean() < green[~cell].max()


def test_classes_differ_in_size_and_nucleus_share(drawn: list[tuple[str, int, Drawing]]) -> None:
    def mean(kind: str, measure) -> float:
        return float(np.mean([measure(drawing) for name, _, drawing in drawn if name == kind]))

    area = {kind: mean(kind, lambda d: (d.nucleus | d.cytoplasm).sum()) for kind in CLASSES}
    share = {kind: mean(kind, lambda d: d.nucleus.sum() / (d.nucleus | d.cytoplasm).sum()) for kind in CLASSES}
    assert area['L1'] < 0.75 * min(area['L2'], area['L3'])
    assert area['normal'] < area['L2']
    assert share['L1'] > 0.1 + max(share['L2'], share['L3'], share['normal'])


def test_color_statistics_alone_do_not_tell_the_classes(drawn: list[tuple[str, int, Drawing]]) -> None:
    pixels = np.array([drawing.image for *_, drawing in drawn], np.float32)
    statistics = np.concatenate([pixels.mean((1, 2)), pixels.std((1, 2))], axis=1)
    kinds = [kind for kind, *_ in drawn]
    groups = [group for _, group, _ in drawn]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    accuracy = cross_val_score(model, statistics, kinds, groups=groups, cv=GroupKFold(5)).mean()
    assert 0.3 < accuracy < 0.75


@pytest.mark.parametrize('cells', [40, 41, 57, 100, 260, 1001])
def test_every_slide_holds_every_class_several_times(cells: int) -> None:
    planned = plan(cells, seed=0)
    kinds = Counter(cell.kind for cell in planned)
    subtypes = [kinds[kind] for kind in CLASSES[:3]]
    assert len(planned) == cells
    assert sum(subtypes) == cells // 2
    assert max(subtypes) - min(subtypes) <= 1
    for number in {cell.slide for cell in planned}:
        held = Counter(cell.kind for cell in planned if cell.slide == number)
        assert min(held[kind] for kind in CLASSES) >= 3
        assert sum(held.values()) <= 40
    assert {cell.slide for cell in planned} == set(range(1, max(2, cells // 18) + 1))


def test_files_are_numbered_as_in_the_real_set() -> None:
    files = [cell.file for cell in plan(260, seed=0)]
    assert (files[0], files[129], files[130], files[259]) == (
        'Im001_1.tif',
        'Im130_1.tif',
        'Im131_0.tif',
        'Im260_0.tif',
    )
    assert plan(1000, seed=0)[0].file == 'Im0001_1.tif'


def test_a_larger_set_keeps_the_blasts_of_a_smaller_one() -> None:
    small, large = plan(80, seed=1), plan(200, seed=1)
    assert small[:36] == large[:36]
    assert [cell.kind for cell in plan(80, seed=2)[:40]] != [cell.kind for cell in small[:40]]


def test_the_folder_is_laid_out_like_all_idb2(folder: Path) -> None:
    root = folder / 'ALL_IDB2'
    planned = plan(40, seed=3)
    assert sorted(p.name for p in root.iterdir()) == ['groups.csv', 'img', 'subtypes.csv', 'synthetic.json']
    assert sorted(p.name for p in (root / 'img').iterdir()) == [cell.file for cell in planned]
    assert rows(root / 'subtypes.csv') == [{'file': c.file, 'subtype': c.kind} for c in planned if c.kind != 'normal']
    assert rows(root / 'groups.csv') == [{'file': c.file, 'group': f'slide{c.slide:02d}'} for c in planned]
    marker = json.loads((root / 'synthetic.json').read_text())
    assert {key: marker[key] for key in ('synthetic', 'cells', 'blasts', 'seed')} == {
        'synthetic': True,
        'cells': 40,
        'blasts': 20,
        'seed': 3,
    }
    assert isinstance(marker['generator'], int)
    sizes = set()
    for cell in planned:
        with Image.open(root / 'img' / cell.file) as image:
            assert image.mode == 'RGB'
            sizes.add(image.size)
    assert (257, 257) in sizes
    assert all(max(size) == 257 and min(size) > 210 for size in sizes)


@pytest.mark.usefixtures('drawn_anew')
def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / 'again', cells=40, seed=3)
    for path in (p for p in folder.rglob('*') if p.is_file()):
        assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(folder)).read_bytes(), path


def test_cell_i_is_the_same_in_a_larger_set(folder: Path) -> None:
    planned = plan(400, seed=3)
    number = 7
    drawing = draw(planned[number - 1].kind, slide(3, 1), np.random.default_rng([3, 2, number]))
    with Image.open(folder / 'ALL_IDB2' / 'img' / planned[number - 1].file) as image:
        assert np.array_equal(np.asarray(image), drawing.image)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    used = tmp_path / 'used'
    used.mkdir()
    (used / 'note.txt').write_text('mine')
    with pytest.raises(UserError, match='not an empty folder'):
        write(used)
    with pytest.raises(UserError, match='40 or more'):
        write(tmp_path / 'few', cells=39)
    with pytest.raises(UserError, match='negative'):
        write(tmp_path / 'negative', seed=-1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['used']
    assert (used / 'note.txt').read_text() == 'mine'


def test_an_interrupted_call_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('alljax.data.synthetic.folder.draw', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / 'out', cells=40)
    assert list(tmp_path.iterdir()) == []


def test_every_range_of_the_table_is_ordered() -> None:
    for name, look in APPEARANCES.items():
        for field, (low, high) in zip(Appearance._fields, look, strict=True):
            assert 0 <= low <= high, (name, field)
    middle = blend(APPEARANCES['L1'], APPEARANCES['L3'])
    assert APPEARANCES['L1'].diameter[0] < middle.diameter[0] < APPEARANCES['L3'].diameter[0]


@pytest.mark.parametrize('wavelengths', [(4.5, 13.0), (48.0, 140.0)])
def test_noise_has_the_promised_variance(wavelengths: tuple[float, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        fields = [noise(np.random.default_rng(seed), 257, wavelengths) for seed in range(40)]
    assert np.var(fields) == pytest.approx(1, abs=0.1)
    assert np.mean(fields) == pytest.approx(0, abs=0.05)
