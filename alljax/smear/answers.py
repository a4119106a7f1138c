"""Answers of a run's model for the white cells of fields: crops are written, and predicted as any picture is."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from alljax.data import image
from alljax.data.in_order import in_order
from alljax.fields import crops
from alljax.fields.field_image import Opened
from alljax.fields.field_search import SearchedField
from alljax.predict import Predictor, Row, predict
from alljax.smear import crop_scale
from alljax.smear.crop_scale import CropScale, Trial
from alljax.smear.found_cells import FoundCell
from alljax.storage import progress_bar
from alljax.storage.atomic import write_whole

CROPS = 'crops'
SHARP = 2 * crops.SIZE  # pixels a side of the widest crop, whose middle the narrower ones are
BATCH = 16  # cells at once: of many more, the last batch of a field would mostly be filled up
SCALED_BY = 40  # cells at most, evenly chosen, by which the side of crops is found

Pixels = UInt8[np.ndarray, 'height width 3']


def scale_of(run: Predictor, fields: Sequence[SearchedField], opened: Opened) -> CropScale:
    """The side of crops in diameters of a white cell, by some cells of all fields."""
    places = [(field, number) for field in fields for number in range(len(field.boxes))]
    chosen = (
        [places[at] for at in np.unique(np.linspace(0, len(places) - 1, SCALED_BY).round().astype(int))]
        if places
        else []
    )
    own = crop_scale.crop_size(run.card.pictures)
    trials: list[Trial] = []
    for field in fields:
        numbers = [number for one, number in chosen if one is field]
        if numbers:
            image = opened(field.path)
            own_side = own / field.cell_pixels
            widest = max(float(crop_scale.SIDES.max()), own_side)
            for number in numbers:
                largest = crops.cut(image, _middle(field, number), SHARP, widest * field.cell_pixels / SHARP)
                trials.append(Trial(partial(_inner, largest, widest), own_side))
    return crop_scale.matched(run.card.pictures, trials)


def write_crops(folder: Path, field: SearchedField, scale: CropScale, size: int, opened: Opened) -> list[str]:
    """Writes a crop of each cell of a field to `folder`/crops; their files, relative to the folder."""
    if not len(field.boxes):
        return []
    read = opened(field.path)
    (folder / CROPS).mkdir(exist_ok=True)

    def written(number: int) -> str:
        center = _middle(field, number)
        file = f'{CROPS}/{field.name}_{number + 1:04}_x{int(center[0])}_y{int(center[1])}.png'
        pixels = crops.cut(read, center, size, scale.side(field.cell_pixels, size) / size)
        write_whole(folder / file, image.to_png(pixels))
        return file

    return list(in_order(written, range(len(field.boxes))))


def answered(
    run: Predictor, folder: Path, fields: Sequence[SearchedField], cut_out: Sequence[Sequence[str]]
) -> list[FoundCell]:
    """All cells with what the model says of their crops, in the order of the fields."""
    places = [
        (field, number, file) for field, files in zip(fields, cut_out, strict=True) for number, file in enumerate(files)
    ]
    if not places:
        return []
    rows: Iterator[Row] = predict(run, [folder / file for _, _, file in places], thumbnails=True, batch_size=BATCH)
    counted = progress_bar.each(rows, 'white cells', len(places), ' cells')
    return [
        FoundCell(number, field, _box(field, place), file, row)
        for number, ((field, place, file), row) in enumerate(zip(places, counted, strict=True), 1)
    ]


def _inner(largest: Pixels, widest: float, diameters: float) -> Pixels:
    """The middle of a square picture of `widest` diameters, so many diameters wide."""
    side = max(2, round(len(largest) * diameters / widest))
    start = (len(largest) - side) // 2
    return largest[start : start + side, start : start + side]


def _middle(field: SearchedField, number: int) -> Float[np.ndarray, '2']:
    return field.boxes[number, :2] + field.boxes[number, 2:] / 2


def _box(field: SearchedField, number: int) -> tuple[float, float, float, float]:
    left, top, width, height = field.boxes[number].tolist()
    return left, top, width, height
