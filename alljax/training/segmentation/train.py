"""From cells to the weights of a segmentation: draws and reads, holds out, trains, scores, and writes a folder."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from jaxtyping import Float

import alljax
from alljax.baselines.extraction import on_all_cores
from alljax.baselines.segment import unet
from alljax.baselines.segmentation_scores import dice
from alljax.errors import UserError
from alljax.storage.atomic import new_folder, write_json, write_whole
from alljax.storage.disk_errors import expect_writable
from alljax.training.segmentation import fit, pictures
from alljax.training.segmentation.network import WIDTHS, folded
from alljax.training.segmentation.pictures import MaskedPicture

WEIGHTS, CARD = 'unet.safetensors', 'unet.json'
HELD_OUT_DRAWN = 200  # cells that are drawn for scores alone
HELD_OUT_EVERY = 5  # of the masked cells of a folder one in so many is for scores alone
FEWEST_DRAWN, FEWEST_MASKED = 16, 5


class Masks(NamedTuple):
    """A folder of pictures and that of their masks."""

    images: Path
    masks: Path


class Wanted(NamedTuple):
    """The folder to write, the cells to learn from, and how long."""

    out: Path
    cells: int  # to draw
    steps: int
    seed: int
    masks: Sequence[Masks] = ()
    command: str = ''  # for the card


def write(wanted: Wanted) -> dict[str, Any]:
    """The card of the weights that were trained and written with it; UserError for masks that cannot be used."""
    check(wanted)
    sets = [pictures.masked(*folder) for folder in wanted.masks]
    problems = [
        f'--masks {folder.images} {folder.masks}: {len(cells)} cells with masks; expected {FEWEST_MASKED} or more'
        for folder, cells in zip(wanted.masks, sets, strict=True)
        if len(cells) < FEWEST_MASKED
    ]
    if problems:
        raise UserError(*problems)
    learned = pictures.drawn(wanted.cells, wanted.seed)
    held_out = {'drawn cells': pictures.drawn(HELD_OUT_DRAWN, wanted.seed + 1)}
    own: list[MaskedPicture] = []
    for folder, cells in zip(wanted.masks, sets, strict=True):
        held_out[f'{folder.images.name}, every {HELD_OUT_EVERY}th'] = cells[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        own += [cell for number, cell in enumerate(cells, 1) if number % HELD_OUT_EVERY]
    if own:  # as many as there are drawn ones, so that half of each batch is the user's
        learned += pictures.windows(own, max(wanted.cells, len(own)), wanted.seed)
    found = folded(fit.fit(pictures.stacked(learned), wanted.steps, wanted.seed))
    expect_writable(wanted.out, 'OUT')
    with new_folder(wanted.out) as part:
        half = {name: array.astype(np.float16) for name, array in found.items()}
        write_whole(part / WEIGHTS, safetensors.numpy.save(half))
        card = _card(wanted, len(own), {name: scored(cells, part / WEIGHTS) for name, cells in held_out.items()})
        write_json(part / CARD, card)
    return card


def check(wanted: Wanted) -> None:
    """UserError with all that is wrong in what is wanted, before anything is drawn or read."""
    problems = []
    if wanted.out.exists() and not (wanted.out.is_dir() and not any(wanted.out.iterdir())):
        problems.append(f'{wanted.out}: exists and is not an empty folder; name a new one')
    if wanted.cells < FEWEST_DRAWN:
        problems.append(f'--cells {wanted.cells}: expected {FEWEST_DRAWN} or more')
    if wanted.steps < 1:
        problems.append(f'--steps {wanted.steps}: expected 1 or more')
    if wanted.seed < 0:
        problems.append(f'--seed {wanted.seed}: expected 0 or more')
    for folder in wanted.masks:
        problems += [f'--masks: there is no folder {path}' for path in folder if not path.is_dir()]
    if problems:
        raise UserError(*problems)


def scored(cells: Sequence[MaskedPicture], weights: Path) -> dict[str, Any]:
    """The number of cells, and the mean Dice of nucleus and cell, of those that are no empty pictures."""
    shown = [cell for cell in cells if cell.nucleus.any()]
    found: Float[np.ndarray, 'cells parts'] = np.array(on_all_cores(_dice, shown, weights))
    nucleus, cell = found.mean(0).tolist()
    return {'cells': len(shown), 'nucleus_dice': round(nucleus, 4), 'cell_dice': round(cell, 4)}


def _dice(cell: MaskedPicture, weights: Path) -> tuple[float, float]:
    parts = unet.unet(cell.image, weights=weights)
    return dice(parts.nucleus, cell.nucleus), dice(parts.cell, cell.cell)


def _card(wanted: Wanted, own: int, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    learned = f'{wanted.cells} drawn cells (alljax.data.synthetic.varied)'
    masked = ' and '.join(folder.images.name for folder in wanted.masks)
    return {
        'network': f'U-Net of {" ".join(map(str, WIDTHS))} channels at {unet.SIDE}×{unet.SIDE} pixels, float16',
        'trained_on': f'{learned}, and {own} masked cells of {masked}' if own else f'{learned} and no others',
        'command': wanted.command,
        'alljax': alljax.__version__,
        'date': datetime.date.today().isoformat(),
        'steps': wanted.steps,
        'batch': fit.BATCH,
        'seed': wanted.seed,
        'held_out': scores,
    }
