"""Masks and measurements of any images, without a classifier."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from alljax.baselines import features
from alljax.baselines.extraction import Extractor, make_extractor, on_all_cores, segment
from alljax.baselines.segment import Parts
from alljax.baselines.systems import WHOLE, System
from alljax.data import image
from alljax.data.image import RgbImage
from alljax.errors import UserError
from alljax.storage.atomic import write_whole
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import csv_text, write_text

PALETTE = (255, 255, 255, 86, 180, 233, 213, 94, 0)  # background, cytoplasm, nucleus


def write(system: System, place: Path, files: Sequence[Path], out: Path, say: Callable[[str], None]) -> None:
    """A mask for each image file at `place`, and measured.csv with all features of all of them, in `out`.

    A mask is an indexed PNG file of the image's size: 0 background, 1 cytoplasm, 2 nucleus. UserError for a system that
    does not segment, for a folder without images, for an `out` that holds something, and for files that cannot be read.
    """
    problems = []
    if system.segment == WHOLE:
        problems.append(
            'the system measures the whole picture, so there are no masks; choose one that segments (--list)'
        )
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        problems.append(f'--measure {out}: exists and is not an empty folder; name a new one')
    else:
        expect_writable(out, '--measure')
    pictures = []
    for file in files:
        if file.is_dir():
            problems.append(f'{file}: holds no images')
            continue
        try:
            pictures.append(image.read(file).pixels)
        except image.ImageError as error:
            problems.append(f'{file}: {error}')
    if problems:
        raise UserError(*problems)
    rows = []
    (out / 'masks').mkdir(parents=True, exist_ok=True)
    root = place if place.is_dir() else place.parent
    measured = on_all_cores(_segment_and_measure, pictures, make_extractor(system))
    for file, (parts, row) in zip(files, measured, strict=True):
        name = file.relative_to(root)
        mask = (out / 'masks' / name).with_name(name.name + '.png')
        mask.parent.mkdir(parents=True, exist_ok=True)
        write_whole(mask, _png(parts))
        rows.append({'file': name.as_posix(), **row})
    write_text(out / 'measured.csv', csv_text(list(rows[0]), [list(row.values()) for row in rows]))
    missing = sum(not parts.found for parts, _ in measured)
    say(f'{len(rows)} images, nothing found in {missing}; written: {out / "measured.csv"} and {out / "masks"}')


def _segment_and_measure(picture: RgbImage, extractor: Extractor) -> tuple[Parts, dict[str, float]]:
    parts = segment(picture, extractor)
    return parts, features.measure(picture, parts, extractor.measurements)


def _png(parts: Parts) -> bytes:
    levels = np.where(parts.nucleus, 2, parts.cytoplasm.astype(int)).astype(np.uint8)
    picture = Image.fromarray(levels).convert('P')
    picture.putpalette(PALETTE)
    file = io.BytesIO()
    picture.save(file, 'PNG')
    return file.getvalue()
