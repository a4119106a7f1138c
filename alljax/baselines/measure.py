"""Masks and measurements of any images, without a classifier, and their scores against the user's own masks."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from alljax.baselines import features, mask_files, segmentation_scores
from alljax.baselines.extraction import Extractor, make_extractor, on_all_cores, segment
from alljax.baselines.segment import Parts
from alljax.baselines.segmentation_scores import MEASURES, NamedPictures, SegmentationScores
from alljax.baselines.systems import WHOLE, System
from alljax.data import image
from alljax.data.image import RgbImage
from alljax.errors import UserError
from alljax.storage.atomic import write_whole
from alljax.storage.disk_errors import expect_writable
from alljax.storage.text_files import csv_text, write_text

POOR = 0.8  # Dice below which a cell counts as badly found
PALETTE = (255, 255, 255, 86, 180, 233, 213, 94, 0)  # background, cytoplasm, nucleus


class Wanted(NamedTuple):
    """The image files at a place, the folder to write, and that of the user's own masks, if there are any."""

    place: Path
    files: Sequence[Path]
    out: Path
    truth: Path | None = None


def write(system: System, wanted: Wanted, say: Callable[[str], None]) -> SegmentationScores | None:
    """A mask for each image file, and measured.csv with all features of all of them, in `wanted.out`.

    A mask is an indexed PNG file of the image's size: 0 background, 1 cytoplasm, 2 nucleus. With masks of the user's,
    their scores are returned, and written to scores.csv. UserError for a system that does not segment, for a folder
    without images, for an `out` that holds something, and for files that cannot be read.
    """
    place, files, out, _ = wanted
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
    extractor = None
    try:
        extractor = make_extractor(system)
    except UserError as error:
        problems += error.problems
    known = None
    if wanted.truth and len(pictures) == len(files):
        try:
            known = mask_files.read(place, files, pictures, wanted.truth)
        except UserError as error:
            problems += error.problems
    if problems or extractor is None:
        raise UserError(*problems)
    rows = []
    (out / 'masks').mkdir(parents=True, exist_ok=True)
    root = place if place.is_dir() else place.parent
    measured = on_all_cores(_segment_and_measure, pictures, extractor)
    for file, (parts, row) in zip(files, measured, strict=True):
        name = file.relative_to(root)
        mask = (out / 'masks' / name).with_name(name.name + '.png')
        mask.parent.mkdir(parents=True, exist_ok=True)
        write_whole(mask, _png(parts))
        rows.append({'file': name.as_posix(), **row})
    write_text(out / 'measured.csv', csv_text(list(rows[0]), [list(row.values()) for row in rows]))
    missing = sum(not parts.found for parts, _ in measured)
    say(f'{len(rows)} images, nothing found in {missing}; written: {out / "measured.csv"} and {out / "masks"}')
    if not known:
        return None
    named = NamedPictures([row['file'] for row in rows], pictures)
    scores = segmentation_scores.against([parts for parts, _ in measured], known.truth, named)
    for sentence in (*known.said, *_means(scores)):
        say(sentence)
    columns = [name.replace('_', ' ') for name in MEASURES]
    lines = [
        [name, parts.found, *('' if np.isnan(value) else f'{value:.4f}' for value in values)]
        for name, parts, values in zip(named.names, scores.found, scores.scores, strict=True)
    ]
    write_text(out / 'scores.csv', csv_text(['file', 'found', *columns], lines))
    return scores


def _means(scores: SegmentationScores) -> Iterator[str]:
    """A line a part: its mean Dice and Hausdorff distance over the cells with a mask."""
    means = segmentation_scores.summary(scores)
    for column, part in enumerate((mask_files.NUCLEUS, mask_files.CELL)):
        if f'{part}_dice' in means:
            dice = scores.scores[~np.isnan(scores.scores[:, column]), column]
            yield (
                f'{part}: Dice {means[f"{part}_dice"]:.3f}, below {POOR} in {np.count_nonzero(dice < POOR)} of '
                f'{len(dice)}; Hausdorff {means[f"{part}_hausdorff"]:.1f} pixels'
            )


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
