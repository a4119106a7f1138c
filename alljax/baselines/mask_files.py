"""The user's own masks of nucleus and cell: which file is of which image, and what its levels mean."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer
from PIL import Image

from alljax.baselines.segment.central_cell import Mask
from alljax.data import folder_walk, image
from alljax.data.image import RgbImage
from alljax.errors import UserError, some

NUCLEUS, CELL = 'nucleus', 'cell'
NUCLEUS_WORD = re.compile(r'nucle|(?:^|[ _.-])nuc(?:$|[ _.-])', re.IGNORECASE)
PART_WORD = re.compile(r'(.+?)[ _.-]+(?:nucleus|nuclei|nuc|cells?|whole)', re.IGNORECASE)

Levels = Integer[np.ndarray, 'height width']


class Truth(NamedTuple):
    """The true masks of a cell; None where nobody drew one."""

    nucleus: Mask | None
    cell: Mask | None  # with its nucleus


class MaskFile(NamedTuple):
    """A file of a mask, and whether its name or that of a folder says that it is of the nucleus alone."""

    path: Path
    of_nucleus: bool


class KnownMasks(NamedTuple):
    """The truth about some images, None for those without a mask, and sentences on what was taken for what."""

    truth: list[Truth | None]
    said: list[str]


def read(root: Path, files: Sequence[Path], pictures: Sequence[RgbImage], folder: Path) -> KnownMasks:
    """The masks in a folder, or in that of the images, of the image files below `root`.

    A mask is of the image of its name, with or without a word for masks or for the part at its end: x.png, x_mask.png,
    x_nucleus.png, and x.bmp.png as `--measure` writes them. Of three levels over all masks the highest is the nucleus,
    the other the cytoplasm and 0 the background. Masks of two levels are of the nucleus if their name or that of a
    folder holds 'nucleus', else of the whole cell. UserError with every problem of all of them.
    """
    if not folder.is_dir():
        raise UserError(f'--truth {folder}: there is no such folder; expected one of masks')
    named, problems = _of_each_image(root, files, folder)
    if not any(named):
        raise UserError(
            f'--truth {folder}: holds no mask of any image in {root}; a mask has the name of its image, or that and '
            '_mask, as x_mask.png'
        )
    levels: dict[Path, Levels] = {}
    for masks, picture in zip(named, pictures, strict=True):
        for mask in masks:
            found = _levels(mask.path, picture.shape[:2])
            if isinstance(found, str):
                problems.append(f'{mask.path}: {found}')
            else:
                levels[mask.path] = found
    said, meaning = [], {}
    for of_nucleus in (False, True):
        every = (mask.path for masks in named for mask in masks if mask.of_nucleus == of_nucleus)
        group = {path: levels[path] for path in every if path in levels}
        if group:
            meaning[of_nucleus], words = _meaning(group, of_nucleus, problems)
            said.append(words)
    if problems:
        raise UserError(*problems)
    missing = [file.relative_to(root).as_posix() for file, masks in zip(files, named, strict=True) if not masks]
    if missing:
        said.append(f'no mask of {some(missing, 4)}: not scored')
    return KnownMasks([_truth(masks, levels, meaning) if masks else None for masks in named], said)


def _of_each_image(root: Path, files: Sequence[Path], folder: Path) -> tuple[list[list[MaskFile]], list[str]]:
    """The mask files of each image: at most one of the nucleus and one of the rest; and a problem for every other."""
    images = {file.resolve() for file in files}
    known: dict[str, list[MaskFile]] = {}
    for name in folder_walk.walk(folder).files:
        if folder_walk.is_image(name) and (folder / name).resolve() not in images:
            of_nucleus = bool(NUCLEUS_WORD.search(f'{folder.name}/{name}'))
            known.setdefault(_pictured(name), []).append(MaskFile(folder / name, of_nucleus))
    found, problems = [], []
    alike = Counter(_pictured(file.name) for file in files)
    for file in files:
        inside = file.parent.relative_to(root if root.is_dir() else root.parent)
        masks = []
        for of_nucleus in (False, True):
            some_of_it = [mask for mask in known.get(_pictured(file.name), []) if mask.of_nucleus == of_nucleus]
            beside = [mask for mask in some_of_it if mask.path.parent.relative_to(folder) == inside]
            if not beside and alike[_pictured(file.name)] > 1:
                continue  # of which of these images they are nobody can say
            chosen = beside or some_of_it
            if len(chosen) > 1:
                problems.append(f'{file}: has {len(chosen)} masks, {some([m.path.name for m in chosen], 3)}; leave one')
            masks += chosen
        found.append(masks)
    return found, problems


def _pictured(name: str) -> str:
    """The name of the image that a file shows or is a mask of, without suffix, folder and words for masks and parts."""
    stem = folder_walk.pictured(name)
    if folder_walk.is_image(stem):  # x.bmp.png
        stem = stem.rpartition('.')[0]
    part = PART_WORD.fullmatch(stem)
    return part[1] if part else stem


def _levels(path: Path, size: tuple[int, int]) -> Levels | str:
    """The level of each pixel, or the number of its color in a palette; a sentence for what is no mask of this size."""
    try:
        with Image.open(path, formats=image.FORMATS) as picture:
            indexed = picture.mode == 'P' and picture.size == (size[1], size[0])
            levels = np.asarray(picture, int) if indexed else None
        if levels is None:
            pixels = image.read(path).pixels
            if (pixels != pixels[..., :1]).any():
                return 'is colored, expected levels of gray; save it as a mask of gray levels'
            levels = pixels[..., 0].astype(int)
    except image.ImageError as error:
        return str(error)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f'is no image that can be read ({error})'
    if levels.shape != size:
        return f'is {levels.shape[1]}×{levels.shape[0]} pixels, its image {size[1]}×{size[0]}; expected one size'
    if len(found := np.unique(levels)) > 3:
        return (
            f'has {len(found)} levels, expected 0, one for the cytoplasm and one for the nucleus; a JPEG or a '
            'resized mask blurs them: save the mask itself as PNG'
        )
    return levels


def _meaning(group: Mapping[Path, Levels], of_nucleus: bool, problems: list[str]) -> tuple[tuple[int, int], str]:
    """The least level of the cell, and that of the nucleus, in masks that belong together, and a sentence on both."""
    seen: dict[int, Path] = {}
    for path, levels in group.items():
        for level in np.unique(levels).tolist():
            seen.setdefault(level, path)
    found = sorted(seen)
    above, count = [level for level in found if level], f'{len(group)} mask{"s" * (len(group) != 1)}'
    examples = ', '.join(f'{level} in {seen[level].name}' for level in found)
    if 0 not in found or not 1 <= len(above) <= (1 if of_nucleus else 2):
        expected = '0 and one more, in masks of the nucleus' if of_nucleus else '0 and one or two more, in all masks'
        problems.append(f'the masks have the levels {examples}; expected {expected}')
        return (1, 1), ''
    if len(above) == 2:
        if not any({*above} <= {*np.unique(levels).tolist()} for levels in group.values()):
            problems.append(
                f'the masks have the levels {examples}, but none has both {above[0]} and {above[1]}, so nobody can say '
                'which is the nucleus; save all with the same levels'
            )
        return (above[0], above[1]), f'{count}: level {above[1]} is taken for the nucleus, {above[0]} for the cytoplasm'
    part = NUCLEUS if of_nucleus else CELL
    hint = '' if of_nucleus else ", since no name of theirs holds 'nucleus'"
    return (above[0], above[0]), f'{count} of two levels: {above[0]} is taken for the {part}{hint}'


def _truth(masks: Sequence[MaskFile], levels: Mapping[Path, Levels], meaning: Mapping[bool, tuple[int, int]]) -> Truth:
    nucleus = cell = None
    for mask in masks:
        least, highest = meaning[mask.of_nucleus]
        values = levels[mask.path]
        if mask.of_nucleus:
            nucleus = values == highest
        else:
            cell = values >= least
            nucleus = values == highest if least < highest and nucleus is None else nucleus
    return Truth(nucleus, cell)
