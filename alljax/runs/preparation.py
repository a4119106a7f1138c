"""Cells as a model sees them: their stain normalized, all but the cell painted over, cropped to it.

The only place where this is done, for a run, a prediction and an explanation alike.
"""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from alljax.baselines import cell_masks
from alljax.data import cell_region, image_files, stain
from alljax.data.cells import Cells
from alljax.data.image import RgbImage
from alljax.data.image_files import ImageFile, Unread
from alljax.data.in_order import in_order
from alljax.data.split import Split
from alljax.storage import cache, progress_bar
from alljax.storage.card import Card
from alljax.storage.image_preparation import UNCHANGED, CellPreparation
from alljax.storage.streamed_pictures import Pictures, held

log = logging.getLogger(__name__)

SYSTEM = 'rawat2017'  # by which the cell is found that is cropped to, where no mask says so: the best on real cells


class Prepared(NamedTuple):
    """Pictures after their preparation."""

    images: Pictures
    found: Bool[np.ndarray, ' cells']  # False where a cell was looked for in vain; such a picture stays whole


def with_target(asked: CellPreparation, sources: Cells, parts: Split) -> CellPreparation:
    """The preparation with its stain target: measured on the training cells alone, without their copies."""
    if not stain.TARGET_NUMBERS[asked.stain]:  # nothing is measured, so no picture is read
        return asked._replace(stain_target=())
    training = parts.train[parts.train < len(sources)]
    return asked._replace(stain_target=stain.target(sources.images[training], asked.stain))


def of_cells(cells: Cells, how: CellPreparation) -> Cells:
    """The cells after their preparation; the very same if there is none."""
    if how == UNCHANGED:
        return cells
    prepared = prepare(cells.images, how, cache.folder('cell_masks'))
    if how.mask != 'none' or how.crop:
        missing = int(np.count_nonzero(~prepared.found))
        without = 'are not masked' if not how.crop else 'are cropped to their middle'
        log.log(logging.WARNING if missing else logging.INFO, '%s finds a cell in %d of %d pictures%s', system_of(how),
                len(cells) - missing, len(cells), f'; the others {without}' if missing else '')  # fmt: skip
    return replace(cells, images=prepared.images)


def about(how: CellPreparation) -> dict[str, Any]:
    """The `data.preparation` of results.json; nothing if there was none. The model's card holds the stain target."""
    if how == UNCHANGED:
        return {}
    mask = {'mask': how.mask, 'mask_part': how.mask_part, 'mask_fill': how.mask_fill} if how.mask != 'none' else {}
    stained = {'stain': how.stain} if how.stain != 'none' else {}
    return {'preparation': {**stained, **mask, **({'crop': how.crop} if how.crop else {})}}


def prepare(images: Pictures, how: CellPreparation, folder: Path | None = None) -> Prepared:
    """The pictures, square and filtered, as a model sees them: stain, then mask, then crop.

    The cell is looked for in the picture as it comes, so that each has one mask, whatever its light is changed to. A
    crop is around its nucleus: the border of a cell often runs into its neighbors. Masks are looked for in the
    `folder`, if any, and kept there.
    """
    everywhere = np.ones(len(images), bool)
    if how == UNCHANGED or not len(images):
        return Prepared(images, everywhere)
    images = held(images, 'config.data.stain, mask and crop')
    with progress_bar.shown('light and stain'):
        stained = stain.normalized(images, how.stain, how.stain_target)
    if how.mask == 'none' and not how.crop:
        return Prepared(stained, everywhere)
    rows = cell_masks.packed(system_of(how), images, folder, how.segmentation)
    shape = (images.shape[1], images.shape[2])

    def one(place: int) -> tuple[RgbImage, bool]:
        found, picture = cell_masks.unpacked(rows[place], shape), stained[place]
        if how.mask != 'none':
            kept = found.nucleus if how.mask_part == 'nucleus' else found.cell
            picture = cell_region.without_surroundings(picture, kept, how.mask_fill)
        if how.crop:
            picture = cell_region.cropped(picture, cell_region.middle(found.nucleus), how.crop)
        return picture, found.found

    with ThreadPoolExecutor() as threads:
        made = progress_bar.each(threads.map(one, range(len(images))), 'preparing', len(images), ' pictures')
        pictures, found = zip(*made, strict=True)
    return Prepared(np.stack(pictures), np.array(found))


def system_of(how: CellPreparation) -> str:
    """The classical system by which a preparation finds cells."""
    return SYSTEM if how.mask == 'none' else how.mask


def read(paths: Iterable[Path], card: Card) -> list[ImageFile | Unread]:
    """Files as a model takes them: read, made square and filtered, then prepared as its training cells were."""
    found = list(in_order(lambda path: image_files.read(path, card.preparation), paths))
    pixels = [file.pixels for file in found if isinstance(file, ImageFile)]
    if not pixels or card.cell_preparation == UNCHANGED:
        return found
    prepared: Iterator[RgbImage] = iter(prepare(np.stack(pixels), card.cell_preparation).images)
    return [file._replace(pixels=next(prepared)) if isinstance(file, ImageFile) else file for file in found]


def fit_mask(mask: RgbImage, path: Path, card: Card) -> UInt8[np.ndarray, 'side side 3']:
    """A mask of the picture in a file, in three channels, brought to where `read` brings that picture's pixels."""
    fitted, how = image_files.fit(mask, card.preparation), card.cell_preparation
    file = image_files.read(path, card.preparation)
    if not how.crop or isinstance(file, Unread):
        return fitted
    row = cell_masks.packed(system_of(how), file.pixels[None], None, how.segmentation)[0]
    found = cell_masks.unpacked(row, file.pixels.shape[:2])
    return cell_region.cropped(fitted, cell_region.middle(found.nucleus), how.crop)
