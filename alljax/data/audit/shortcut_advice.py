"""Sentences on a shortcut, for the page and the terminal: what it means, and what to do about it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from alljax.data.audit.shortcuts import Shortcut

WHITE_BALANCE = '--config.data.stain=white_balance'
MASK = '--config.data.mask=rawat2017'
CROP = '--config.data.crop=128'  # of 257 pixels, to which a cell is brought
SO_WHAT = 'a network can be right without looking at the cell'
OWN_COLOR = 'the border, where no cell is, does not, so it may be the color of the cells themselves'


class Fix(NamedTuple):
    """One thing to do."""

    text: str  # a clause without its stop
    setting: str = ''  # of a run, that does it


class Advice(NamedTuple):
    """A shortcut in plain words."""

    finding: str  # in how many cells the class is told, and from what
    so_what: str  # a clause: what follows
    reason: str  # a clause: what may have made it
    fixes: tuple[Fix, ...]


ALONE = {
    'border': 'The border of the picture alone, where no cell is, tells',
    'color': 'The color of the picture alone tells',
    'image size': 'The height and width of the picture alone tell',
    'file size': 'The size of the file alone tells',
    'overlay': 'Bars, letters or lines that were drawn over the picture tell',
}
REASONS = {
    'border': 'for instance because each class was photographed on other slides, with another stain or in other light',
    'color': 'for instance because each class was stained or lit in another way. Part of this may be the cell itself: '
    'what the border tells is the light and the stain alone',
    'image size': 'for instance because each class was cut out with another box or at another magnification. Every '
    'picture is brought to one size, and the scale of the cell then tells the class',
    'file size': 'for instance because each class was saved by another program, in another format or at another '
    'quality of JPEG, whose traces stay in the pixels',
    'overlay': 'for instance because a scale bar, a label or a date was put on the pictures of one class',
}
GRAY = Fix('see what is left without color', '--config.data.color=gray')
SLIDES = Fix('collect more slides of each class, from one microscope, stained together')
FIXES = {
    'border': (
        Fix('even out the light', WHITE_BALANCE),
        Fix('paint over all but the cell', MASK),
        Fix('cut closely around the nucleus', CROP),
        SLIDES,
    ),
    'color': (
        Fix('even out the light', WHITE_BALANCE),
        Fix('bring all pictures to one stain', '--config.data.stain=macenko'),
        GRAY,
        SLIDES,
    ),
    'image size': (
        Fix('cut all classes out of the original fields again, with one box in pixels, at one magnification'),
    ),
    'file size': (
        Fix('export all classes again from the originals, in one format without loss (PNG or TIFF)'),
        Fix('blur the traces in training', '--config.augment.jpeg=50 --config.augment.blur=1'),
    ),
    'overlay': (
        Fix('export the pictures again without scale bar, label or date'),
        Fix('paint over all but the cell', MASK),
        Fix('cut closely around the nucleus', CROP),
    ),
}
TEST = Fix('test on cells of another microscope or laboratory too, for no split of this folder can show it',
           '--config.test.root=DIR')  # fmt: skip
NAME_SLIDES = Fix('name the slide of each cell (column group of cells.csv or groups.csv) and audit again: without it, '
                  'what tells a slide looks like what tells a class')  # fmt: skip


def of_audit(audit: Any) -> list[Advice]:
    """The words about each shortcut of an audit that tells the label."""
    slides_known = not audit.listing.unnamed_groups.issuperset(audit.listing.groups)
    border_tells = not any(
        row.name == 'border' and row.accuracy is not None and not row.says_the_label for row in audit.shortcuts
    )
    given = (advice(shortcut, slides_known, border_tells) for shortcut in audit.shortcuts)
    return [words for words in given if words]


def fixes(given: Iterable[Advice]) -> list[Fix]:
    """All that is to do about some shortcuts, each thing once; nothing for none."""
    found = dict.fromkeys(fix for advice in given for fix in advice.fixes)
    return [*found, TEST] if found else []


def advice(shortcut: Shortcut, slides_known: bool, border_tells: bool = True) -> Advice | None:
    """The words about a shortcut; None for one of which the verdict does not say that it tells the label.

    A color that the border does not share is likely the cell's own, and no reason to change the pictures.
    """
    if not shortcut.says_the_label or shortcut.accuracy is None:
        return None
    finding = (
        f'{ALONE[shortcut.name]} the class in {shortcut.accuracy:.0%} of the cells (mean over classes; chance is '
        f'{shortcut.chance:.0%})'
    )
    if shortcut.name == 'color' and not border_tells:
        return Advice(finding, OWN_COLOR, 'for light and stain would show in the border too', (GRAY,))
    first = () if slides_known else (NAME_SLIDES,)
    return Advice(finding, SO_WHAT, REASONS[shortcut.name], (*first, *FIXES[shortcut.name]))
