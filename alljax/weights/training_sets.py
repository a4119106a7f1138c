"""The data sets that published backbones were trained on, and whether the cells of a test are of one of them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from alljax.storage.card import Card

IMAGENET = ('ImageNet-1k',)
# The 15 sets in the README of DinoBloom's publisher (marrlab/DinoBloom, January 2026). Koch et al. 2024
# (arXiv:2404.05022) trained on 13; which two of these they left out is not verified, so all are named.
DINOBLOOM = (
    'BMC', 'AML Hehr', 'AML Matek', 'Acevedo', 'Raabin WBC', 'Raabin Leukemia', 'NuClick', 'Warty pig', 'LISC',
    'KRD-WBC', 'SSL Seg', 'BCCD', 'Aslan', 'APL_AML', 'White-Blood-Cell-dataset',
)  # fmt: skip
NETWORKS = {'dinobloom_s': DINOBLOOM, 'dinobloom_b': DINOBLOOM}
PHOTOGRAPHS = ('imagenet', 'ig', 'lvd', 'laion', 'jft', 'places', 'coco')  # how the names of other sets begin

# other names of sets, as their publications and hosts have them
ALIASES = {
    'BMC': ('Bone Marrow Cytomorphology MLL Helmholtz Fraunhofer', 'Matek 2021', 'Bone Marrow Cytology'),
    'AML Hehr': ('AML-Cytomorphology MLL Helmholtz', 'Hehr 2023'),
    'AML Matek': ('AML-Cytomorphology LMU', 'Munich AML Morphology Dataset', 'Matek 2019'),
    'Acevedo': ('Acevedo 2020', 'PBC dataset normal DIB', 'PBC', 'BloodMNIST'),
    'Raabin WBC': ('Raabin-WBC', 'Kouzehkanan 2022', 'Raabin'),
    'SSL Seg': ('segmentation_WBC', 'Zheng 2018', 'Jiangxi Tecom'),
    'APL_AML': ('Acute Promyelocytic Leukemia', 'APL', 'Sidhom 2021'),
    'KRD-WBC': ('KRD', 'Taha 2023'),
    'LISC': ('Rezatofighi 2011',),
    'ALL-IDB2': ('ALL-IDB', 'Labati 2011'),
}


class Overlap(NamedTuple):
    """The sets that a backbone was trained on, beside the one that it is tested on."""

    source: str  # the public name of the test set, '' where nobody said it
    test_set: str  # the name of the same set among those of the backbone, '' if it is none of them
    cells: tuple[str, ...]  # those of the backbone's sets that are no photographs of everyday things


def of_published(network: str, weights: str) -> tuple[str, ...]:
    """The sets of published weights, or of a network that has only been trained on one collection."""
    if network in NETWORKS:
        return NETWORKS[network]
    return ('IG-3.6B', *IMAGENET) if 'SWAG' in weights else IMAGENET if weights else ()


def of_card(card: Card) -> tuple[str, ...]:
    """The sets of a model folder; one that an earlier release converted does not say them itself."""
    if card.trained_on or not card.weights or not card.network:
        return card.trained_on
    return of_published(card.network.name, card.weights.weights)


def overlap(trained_on: Sequence[str], source: str) -> Overlap:
    """The place of the test set, by its public name, among the sets of a backbone; case and marks do not count."""
    wanted = _spellings(source)
    same = [name for name in trained_on if wanted & _spellings(name)]
    cells = tuple(name for name in trained_on if not _plain(name).startswith(PHOTOGRAPHS))
    return Overlap(source, same[0] if same else '', cells)


def _spellings(name: str) -> set[str]:
    """A name and all others of the same set."""
    own = {_plain(name)} - {''}
    for known, others in ALIASES.items():
        names = {_plain(one) for one in (known, *others)}
        own |= names if own & names else set()
    return own


def _plain(name: str) -> str:
    return re.sub(r'[^a-z0-9]', '', name.casefold())
