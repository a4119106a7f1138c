"""The training of the U-Net: its net in Flax and in NumPy are one, and what it learns from is as it should be."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from alljax.baselines.segment import unet
from alljax.data.synthetic.varied import draw_varied
from alljax.errors import UserError
from alljax.models.trees import flatten, unflatten
from alljax.training.segmentation import fit, pictures, train
from alljax.training.segmentation.network import Unet, folded
from alljax.training.segmentation.pictures import MaskedPicture

WIDTHS = (4, 6)
SIDE = 16


def random_variables(seed=0):
    """Variables of a narrow U-Net whose batch statistics are not those of the start."""
    shapes = jax.eval_shape(Unet(WIDTHS).init, jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    rng, found = np.random.default_rng(seed), {}
    for name, leaf in flatten(shapes).items():
        values = rng.normal(0, 0.5, leaf.shape)
        found[name] = jnp.asarray(np.abs(values) + 0.5 if name.endswith(('var', 'scale')) else values, jnp.float32)
    return unflatten(found)


def one_cell(side=60):
    y, x = np.mgrid[:side, :side]
    away = np.hypot(y - side * 0.5, x - side * 0.4)
    image = np.where(away[..., None] < side / 8, (90, 60, 140), np.where(away[..., None] < side / 5, 180, 230))
    return MaskedPicture(image.astype(np.uint8), away < side / 8, away < side / 5)


def test_numpy_computes_what_flax_does(tmp_path):
    variables = random_variables()
    x = np.random.default_rng(1).normal(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    expected = Unet(WIDTHS).apply(variables, jnp.asarray(x[None]))[0]
    file = tmp_path / 'unet.safetensors'
    safetensors.numpy.save_file(folded(variables), file)
    np.testing.assert_allclose(unet.forward(unet.read(file), x), expected, rtol=1e-4, atol=1e-4)


def test_masks_are_shares_that_sum_to_one():
    narrow = one_cell(90)._replace(
        **dict(zip(MaskedPicture._fields, (part[:, 10:60] for part in one_cell(90)), strict=True))
    )
    found = pictures.stacked([one_cell(), narrow])
    assert found.images.shape == found.masks.shape == (2, unet.SIDE, unet.SIDE, 3)
    assert (np.abs(found.masks.astype(int).sum(-1) - 255) <= 2).all()
    share = found.masks[0, ..., unet.NUCLEUS].mean() / 255
    assert share == pytest.approx(one_cell().nucleus.mean(), rel=0.05)


def test_windows_hold_the_whole_cell():
    for found in pictures.windows([one_cell()], 20, seed=3):
        assert found.image.shape[:2] == found.cell.shape
        assert len({*found.cell.shape}) == 1
        assert found.cell.sum() > 0.95 * one_cell().cell.sum()


def test_turned_pictures_keep_their_masks():
    given = pictures.stacked([one_cell(), one_cell(80)])
    small = fit.Batch(*map(jnp.asarray, (given.images[:, ::4, ::4], given.light, given.masks[:, ::4, ::4])))
    x, truth = fit.changed(small, jax.random.key(0))
    assert bool(jnp.isfinite(x).all())
    np.testing.assert_allclose(truth.sum(-1), 1, atol=0.02)
    dark = x.sum(-1) > jnp.quantile(x.sum(-1), 1 - given.masks[..., unet.NUCLEUS].mean() / 255)
    inside = truth[..., unet.NUCLEUS] > 0.5
    assert float((dark & inside).sum() / inside.sum()) > 0.9  # the nucleus is where its mask is


def test_the_loss_is_least_for_the_truth():
    truth = jax.nn.one_hot(np.random.default_rng(0).integers(0, 3, (1, 8, 8)), 3)
    losses = [float(fit.loss_of(scale * truth, truth)) for scale in (20.0, 1.0, -1.0)]
    assert losses == sorted(losses)
    assert losses[0] < 1e-3


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    wanted = train.Wanted(tmp_path, 2, 0, -1, [train.Masks(tmp_path / 'a', tmp_path / 'b')])
    (tmp_path / 'used').touch()
    with pytest.raises(UserError) as caught:
        train.check(wanted)
    said = ' '.join(caught.value.problems)
    assert all(word in said for word in ('not an empty folder', '--cells 2', '--steps 0', '--seed -1', 'folder'))
    assert len(caught.value.problems) == 6


def test_masks_of_one_part_are_refused(tmp_path):
    for number in range(2):
        Image.fromarray(one_cell().image).save(tmp_path / f'x{number}.bmp')
        Image.fromarray(255 * one_cell().cell.astype(np.uint8)).save(tmp_path / f'x{number}_mask.png')
    with pytest.raises(UserError, match=r'one of nucleus and cell for x0.bmp, x1.bmp, expected both'):
        pictures.masked(tmp_path, tmp_path)


@pytest.mark.slow
def test_a_net_trained_on_drawn_and_masked_cells_is_written_and_finds_them(tmp_path, monkeypatch):
    monkeypatch.setattr(train, 'HELD_OUT_DRAWN', 6)
    monkeypatch.setattr(fit, 'BATCH', 8)
    monkeypatch.setattr(fit, 'fit', partial(fit.fit, widths=(8, 12)))  # the whole network takes a minute
    images, masks = tmp_path / 'images', tmp_path / 'masks'
    images.mkdir()
    masks.mkdir()
    for number in range(10):
        drawn = draw_varied(np.random.default_rng([9, number])).drawing
        levels = (2 * drawn.nucleus + drawn.cytoplasm).astype(np.uint8)
        Image.fromarray(drawn.image).resize((120, 120)).save(images / f'{number}.png')
        Image.fromarray(levels).resize((120, 120), Image.Resampling.NEAREST).save(masks / f'{number}.png')
    out = tmp_path / 'out'
    card = train.write(train.Wanted(out, 16, 25, 0, [train.Masks(images, masks)], 'alljax segmentation out'))
    assert card['trained_on'].endswith('and 8 masked cells of images')
    assert {*card['held_out']} == {'drawn cells', 'images, every 5th'}
    assert card['held_out']['drawn cells']['nucleus_dice'] > 0.5  # after 2 steps it is 0.2
    assert unet.read(out / train.WEIGHTS).head.kernel.shape[-1] == 12
