"""Stain, mask and crop on the way from cells to a model: measured on training cells, kept in its card, used by all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import make_cells
from PIL import Image

from alljax import config, explain, models, predict
from alljax.baselines import cell_masks, extraction
from alljax.baselines.systems import SYSTEMS
from alljax.config import resolve
from alljax.data import cell_region, datasets, image, stain
from alljax.data.datasets import DataOptions
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.runs import experiment, model_check, network, preparation
from alljax.storage import model_folder
from alljax.storage.card import Card
from alljax.storage.image_preparation import UNCHANGED, CellPreparation
from configs import subtype

HOW = CellPreparation('reinhard', (), 'rawat2017', 'nucleus', 'white', 48)


@pytest.fixture(scope='module')
def cells(drawn):
    return datasets.load(DataOptions('all_idb2', str(drawn), size=64), 0).take(np.arange(8))


def test_without_any_of_it_the_pictures_are_the_very_same(cells):
    assert preparation.of_cells(cells, UNCHANGED) is cells
    assert preparation.prepare(cells.images, UNCHANGED).images is cells.images
    assert preparation.about(UNCHANGED) == {}


def test_the_order_is_stain_mask_crop_and_the_mask_is_of_the_picture_as_it_came(cells):
    how = HOW._replace(stain_target=stain.target(cells.images[:4], 'reinhard'))
    found = preparation.prepare(cells.images, how)
    stained = stain.normalized(cells.images, 'reinhard', how.stain_target)
    extractor = extraction.make_extractor(SYSTEMS['rawat2017']())
    for ours, known, raw, picture in zip(found.images, found.found, cells.images, stained, strict=True):
        parts = extraction.segment(raw, extractor)
        masked = cell_region.without_surroundings(picture, parts.nucleus, 'white')
        expected = cell_region.cropped(masked, cell_region.middle(parts.nucleus), 48)
        np.testing.assert_array_equal(ours, expected)
        assert known == parts.found


def test_a_picture_without_a_cell_stays_whole(cells, caplog):
    images = cells.images.copy()
    images[2] = 200
    found = preparation.of_cells(replace(cells, images=images), CellPreparation(mask='rawat2017'))
    np.testing.assert_array_equal(found.images[2], images[2])
    assert 'rawat2017 finds a cell in 7 of 8 pictures; the others are not masked' in caplog.text


def test_the_target_is_of_training_cells_without_their_copies():
    sources = make_cells([0, 1] * 4, size=32)
    parts = Split(np.array([0, 2, 9]), np.array([1]), np.array([3, 4, 5, 6, 7, 8]), 'paper')
    asked = CellPreparation('reinhard')
    expected = preparation.with_target(asked, sources, parts)
    assert expected.stain_target == stain.target(sources.images[[0, 2]], 'reinhard')
    images = sources.images.copy()
    images[[1, 3, 4, 5, 6, 7]] //= 2  # what is not trained on
    assert preparation.with_target(asked, replace(sources, images=images), parts) == expected


def test_masks_are_kept_by_picture(cells, tmp_path, monkeypatch):
    first = cell_masks.packed('rawat2017', cells.images, tmp_path)
    monkeypatch.setattr(extraction, 'segment', lambda *_: pytest.fail('computed again'))
    again = cell_masks.packed('rawat2017', cells.images[::-1], tmp_path)
    np.testing.assert_array_equal(first[::-1], again)


def test_systems_that_look_for_no_cell_make_no_mask():
    assert set(SYSTEMS) - set(cell_masks.names()) == {'vogado2017'}


@pytest.fixture(scope='module')
def run(drawn, tmp_path_factory):
    """A classical system on prepared cells."""
    values = subtype.get_config()
    given = {'data.root': str(drawn), 'data.size': '64', 'data.stain': 'reinhard', 'data.mask': 'rawat2017',
             'data.crop': '48', 'baseline.system': 'chatap2014'}  # fmt: skip
    config.override(values, given)
    return experiment.run(resolve.resolve(values, given), tmp_path_factory.mktemp('prepared') / 'run')


@pytest.mark.slow
def test_a_run_says_what_was_done_and_keeps_its_numbers(run):
    found = json.loads((run / 'results.json').read_text())['data']['preparation']
    assert found == {
        'stain': 'reinhard', 'mask': 'rawat2017', 'mask_part': 'cell', 'mask_fill': 'white', 'crop': 48
    }  # fmt: skip
    assert 'stain reinhard, mask rawat2017' in (run / 'report.html').read_text()
    how = model_folder.read_card(run / 'model').cell_preparation
    assert (how.stain, how.mask, how.crop, len(how.stain_target)) == ('reinhard', 'rawat2017', 48, 6)


@pytest.mark.slow
def test_predict_sees_a_file_as_the_run_saw_its_cell(run, drawn):
    rows = (run / 'predictions.csv').read_text().splitlines()[1:4]
    names = [row.split(',')[0] for row in rows]
    found = list(predict.predict(predict.load(run), [drawn / 'ALL_IDB2' / name for name in names]))
    for row, told in zip(found, rows, strict=True):
        np.testing.assert_allclose(row.probabilities, np.array(told.split(',')[4:], float), atol=2e-4)


@pytest.mark.slow
def test_explain_shows_the_prepared_picture_and_the_truth_moves_with_it(run, drawn, monkeypatch):
    card = model_folder.read_card(run / 'model')
    model = models.Model('any', lambda key: {}, lambda variables, x: x.mean((1, 2)), models.Input(64))
    monkeypatch.setattr(network, 'load', lambda path: network.TrainedNetwork(model, {}, card))
    file = sorted((drawn / 'ALL_IDB2' / 'img').iterdir())[0]
    shown = preparation.read([file], card)[0].pixels
    checked = explain.check(explain.Request(run, [file], ['saliency'], 1))
    np.testing.assert_array_equal(checked.cells[0].pixels, shown)
    picture = image.read(file).pixels  # a picture as its own mask comes to where its pixels are
    unmasked = replace(card, cell_preparation=CellPreparation(crop=48))
    np.testing.assert_array_equal(
        preparation.fit_mask(picture, file, unmasked), preparation.read([file], unmasked)[0].pixels
    )


@pytest.mark.slow
def test_a_card_of_an_earlier_release_has_no_preparation_and_a_damaged_one_is_refused(run, tmp_path):
    card = model_folder.read_card(run / 'model')
    assert 'cell_preparation' not in replace(card, cell_preparation=UNCHANGED).to_json()
    values = card.to_json()
    for key, value, said in (
        ('stain_target', [1.0], 'has 1 numbers for cell_preparation.stain_target, expected 6'),
        ('mask', 'mine', "has 'mine' for cell_preparation.mask, expected none or"),
    ):
        wrong = {**values, 'cell_preparation': {**values['cell_preparation'], key: value}}
        with pytest.raises(UserError, match=said):
            preparation_of(wrong, tmp_path)
    wrong = {**values, 'cell_preparation': {**values['cell_preparation'], 'stain_target': [float('nan')] * 6}}
    with pytest.raises(UserError, match='expected finite numbers'):
        preparation_of(wrong, tmp_path)


def preparation_of(values, folder):
    card = Card.from_json(json.loads(json.dumps(values)), folder / 'facts.json')
    model_check.known_preparation(card, folder)


def test_a_crop_of_no_use_and_jitter_that_nothing_sees_are_refused():
    for given, said in (
        ({'data.crop': '20'}, 'config.data.crop is 20; set it to 0, or to 32 up to data.size, 257'),
        ({'data.crop': '300'}, 'config.data.crop is 300'),
        ({'augment.stain': '0.1', 'baseline.system': 'putzu2014'}, 'config.augment.stain changes cells at each step'),
        ({'data.mask': 'vogado2017'}, "config.data.mask is 'vogado2017'"),
    ):
        values = subtype.get_config()
        config.override(values, given)
        with pytest.raises(UserError, match=said):
            config.check(values)


def test_a_transductive_model_takes_the_statistics_of_prepared_pictures(tmp_path):
    files = [tmp_path / f'{number}.png' for number in range(3)]
    for number, file in enumerate(files):
        pixels = np.random.default_rng(number).integers(40, 160, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    card = Card(('a', 'b'), system={}, data_size=32, transductive='set',
                cell_preparation=CellPreparation(stain='white_balance'))  # fmt: skip
    taken = []

    def adapt(images):
        taken.append(images)
        return predict.Predictor(('a', 'b'), card, lambda images, batch_size: np.full((len(images), 2), 0.5))

    predict.adapted(adapt(np.zeros((0, 32, 32, 3), np.uint8))._replace(adapt=adapt), files)
    expected = [file.pixels for file in preparation.read(files, card)]
    np.testing.assert_array_equal(taken[-1], expected)
    assert np.abs(taken[-1].astype(int) - [np.asarray(Image.open(file)) for file in files]).max() > 40
