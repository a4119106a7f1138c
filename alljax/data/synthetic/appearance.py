"""The appearance of each class, in one table: change the difficulty of the task here and nowhere else."""

from typing import NamedTuple

import numpy as np

CLASSES = ('L1', 'L2', 'L3', 'normal')

Range = tuple[float, float]


class Appearance(NamedTuple):
    """Ranges, each drawn uniformly for a cell; lengths in pixels of a 257-pixel crop (about 10 a micrometer)."""

    diameter: Range  # of the cell
    stretch: Range  # of the cell: long axis over short axis
    wave: Range  # unevenness of the cell's outline, fraction of its radius
    share: Range  # area of the nucleus over area of the cell, before clefts
    eccentricity: Range  # place of the nucleus: 0 central, 1 against the membrane
    nucleus_stretch: Range
    nucleus_wave: Range
    clefts: Range  # number, rounded
    cleft_depth: Range  # fraction of the nucleus' radius
    cleft_width: Range  # half opening at the nucleus' edge
    chromatin: Range  # optical density of the nucleus, 1 = the slide's usual
    clump_size: Range  # wavelength of the clumps
    clump: Range  # contrast of blocky clumps, fraction of the chromatin's density
    stipple: Range  # contrast of fine dots, fraction of the chromatin's density
    nucleoli: Range  # number, rounded
    nucleolus_radius: Range
    nucleolus_contrast: Range  # fraction of the chromatin's density that is missing there
    cytoplasm: Range  # optical density of the blue cytoplasm, 1 = the slide's usual
    vacuoles: Range  # number, rounded
    vacuole_radius: Range


# Bennett et al. 1976 (FAB). Ranges overlap where the classes do: no single measure names the class of every cell.
APPEARANCES = {
    'L1': Appearance(
        diameter=(92.0, 118.0), stretch=(1.0, 1.10), wave=(0.006, 0.016),
        share=(0.81, 0.92), eccentricity=(0.1, 0.9), nucleus_stretch=(1.0, 1.12), nucleus_wave=(0.005, 0.016),
        clefts=(0.0, 0.6), cleft_depth=(0.08, 0.2), cleft_width=(1.5, 3.0),
        chromatin=(0.82, 1.08), clump_size=(12.0, 18.0), clump=(0.0, 0.05), stipple=(0.02, 0.05),
        nucleoli=(0.0, 0.55), nucleolus_radius=(4.0, 6.0), nucleolus_contrast=(0.08, 0.16),
        cytoplasm=(0.55, 0.95), vacuoles=(0.0, 0.53), vacuole_radius=(2.5, 3.5),
    ),
    'L2': Appearance(
        diameter=(112.0, 170.0), stretch=(1.0, 1.28), wave=(0.015, 0.045),
        share=(0.47, 0.67), eccentricity=(0.2, 1.0), nucleus_stretch=(1.05, 1.35), nucleus_wave=(0.025, 0.06),
        clefts=(0.7, 2.8), cleft_depth=(0.25, 0.65), cleft_width=(3.0, 9.0),
        chromatin=(0.74, 1.0), clump_size=(9.0, 15.0), clump=(0.04, 0.10), stipple=(0.03, 0.07),
        nucleoli=(0.6, 3.4), nucleolus_radius=(7.0, 11.0), nucleolus_contrast=(0.36, 0.56),
        cytoplasm=(0.38, 0.7), vacuoles=(0.0, 0.58), vacuole_radius=(2.5, 3.5),
    ),
    'L3': Appearance(
        diameter=(132.0, 158.0), stretch=(1.0, 1.12), wave=(0.006, 0.018),
        share=(0.56, 0.70), eccentricity=(0.1, 0.8), nucleus_stretch=(1.0, 1.18), nucleus_wave=(0.006, 0.02),
        clefts=(0.0, 0.6), cleft_depth=(0.06, 0.15), cleft_width=(2.0, 4.0),
        chromatin=(0.76, 1.02), clump_size=(9.0, 13.0), clump=(0.03, 0.08), stipple=(0.10, 0.17),
        nucleoli=(1.6, 4.4), nucleolus_radius=(5.0, 7.5), nucleolus_contrast=(0.2, 0.36),
        cytoplasm=(1.0, 1.5), vacuoles=(12.0, 24.0), vacuole_radius=(2.6, 7.0),
    ),
    'normal': Appearance(
        diameter=(82.0, 110.0), stretch=(1.0, 1.14), wave=(0.008, 0.022),
        share=(0.55, 0.77), eccentricity=(0.3, 1.0), nucleus_stretch=(1.0, 1.14), nucleus_wave=(0.008, 0.022),
        clefts=(0.0, 1.0), cleft_depth=(0.12, 0.3), cleft_width=(5.0, 10.0),
        chromatin=(0.95, 1.25), clump_size=(16.0, 25.0), clump=(0.20, 0.32), stipple=(0.02, 0.06),
        nucleoli=(0.0, 0.52), nucleolus_radius=(3.5, 5.0), nucleolus_contrast=(0.08, 0.16),
        cytoplasm=(0.3, 0.6), vacuoles=(0.0, 0.53), vacuole_radius=(2.5, 3.5),
    ),
    'large normal': Appearance(
        diameter=(116.0, 156.0), stretch=(1.0, 1.25), wave=(0.02, 0.05),
        share=(0.36, 0.54), eccentricity=(0.3, 1.0), nucleus_stretch=(1.0, 1.18), nucleus_wave=(0.01, 0.024),
        clefts=(0.0, 1.0), cleft_depth=(0.12, 0.3), cleft_width=(5.0, 10.0),
        chromatin=(0.9, 1.2), clump_size=(16.0, 26.0), clump=(0.19, 0.31), stipple=(0.02, 0.06),
        nucleoli=(0.0, 0.52), nucleolus_radius=(3.5, 5.0), nucleolus_contrast=(0.08, 0.16),
        cytoplasm=(0.2, 0.42), vacuoles=(0.0, 0.58), vacuole_radius=(2.5, 3.5),
    ),
}  # fmt: skip

LARGE = 0.3  # of the normal lymphocytes have abundant cytoplasm
BORDERLINE = 0.03  # of the cells stand half-way between their class and another


def choose_appearance(kind: str, rng: np.random.Generator) -> Appearance:
    """Choose the ranges one cell of a class is drawn from; ValueError for a name that is none of CLASSES."""
    if kind not in CLASSES:
        raise ValueError(f'no class {kind!r}: choose one of {", ".join(CLASSES)}')
    large, borderline, other = rng.random(3)
    own = APPEARANCES['large normal' if kind == 'normal' and large < LARGE else kind]
    if borderline >= BORDERLINE:
        return own
    others = [name for name in CLASSES if name != kind]
    return blend(own, APPEARANCES[others[int(other * len(others))]])


def blend(first: Appearance, second: Appearance) -> Appearance:
    """Mix two appearances half and half."""
    pairs = zip(first, second, strict=True)
    return Appearance(*(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairs))


def pick(rng: np.random.Generator, between: Range) -> float:
    """Draw a number uniformly from a range."""
    return float(rng.uniform(*between))


def count(rng: np.random.Generator, between: Range) -> int:
    """Draw a whole number: uniformly from a range, then rounded."""
    return round(pick(rng, between))
