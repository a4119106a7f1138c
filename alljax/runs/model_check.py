"""The card of a model against what this release knows, so that a damaged or edited facts.json ends in a sentence."""

from pathlib import Path

import jax

from alljax.baselines import cell_masks
from alljax.data import cell_region, color, denoise, stain
from alljax.errors import UserError, some
from alljax.models import Model, NetworkSpec, Variables
from alljax.models.trees import flatten
from alljax.storage import model_folder
from alljax.storage.card import Card
from alljax.storage.image_preparation import SEGMENTATIONS
from alljax.storage.model_folder import AGAIN, CARD

INTERPOLATIONS = ('bilinear', 'bicubic')


def known_preparation(card: Card, folder: Path) -> None:
    """UserError if a card names a filter, a normalization, a color model or the like that there is not."""
    cells = card.cell_preparation
    named = [
        ('denoise', card.denoise, denoise.NAMES),
        ('cell_preparation.stain', cells.stain, stain.NAMES),
        ('cell_preparation.mask', cells.mask, ('none', *cell_masks.names())),
        ('cell_preparation.mask_part', cells.mask_part, cell_region.PARTS),
        ('cell_preparation.mask_fill', cells.mask_fill, cell_region.FILLS),
    ]
    if card.input:
        named += [('input.color', card.input.color, tuple(color.CHANNELS))]
        named += [('input.interpolation', card.input.interpolation, INTERPOLATIONS)]
    for key, value, known in named:
        if value not in known:
            raise UserError(f'{folder / CARD}: has {value!r} for {key}, expected {" or ".join(known)}; {AGAIN}')
    known_segmentation(cells.segmentation, 'cell_preparation', folder)
    expected, found = stain.TARGET_NUMBERS[cells.stain], len(cells.stain_target)
    if found != expected:
        raise UserError(
            f'{folder / CARD}: has {found} numbers for cell_preparation.stain_target, expected {expected}; {AGAIN}'
        )


def known_segmentation(version: int, part: str, folder: Path) -> None:
    """UserError if a model finds its cells by a version of the search that this release does not know."""
    if version not in SEGMENTATIONS:
        raise UserError(
            f'{folder / CARD}: has {version} for {part}.segmentation, expected {" or ".join(map(str, SEGMENTATIONS))}; '
            'if a later release trained it, install that'
        )


def made(spec: NetworkSpec, classes: int, variables: Variables, folder: Path) -> Model:
    """The network of a card; UserError if its options make none, or one of other variables than the folder holds.

    A folder with checksums holds what was written, so there the variables are not compared: tracing takes seconds.
    """
    path = folder / CARD
    try:
        model = spec.create(classes)
        if model_folder.has_checksums(folder):
            return model
        expected = jax.eval_shape(model.init, jax.random.key(0))
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    except Exception as error:  # an option may be anything, and break any line of a network
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'{path}: {spec.name} cannot be made with {dict(spec.options)} ({said}); {AGAIN}') from None
    shapes, found = ({name: leaf.shape for name, leaf in flatten(tree).items()} for tree in (expected, variables))
    if different := sorted(name for name in {*shapes, *found} if shapes.get(name) != found.get(name)):
        raise UserError(
            f'{folder}: {some(different, 4)} are not those of {spec.name} with {dict(spec.options)} and {classes} '
            f'classes; {AGAIN}'
        )
    return model
