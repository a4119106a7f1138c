"""Concepts in folders of the user's images: along which of them a network's logits rise (TCAV, Kim et al. 2018)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from alljax import gradients
from alljax.data import image_files
from alljax.data.image_files import ImageFile, Unread
from alljax.errors import UserError, some
from alljax.evaluation import paired_tests
from alljax.explain import images
from alljax.explain.measurements import Step, no_step, targets_of
from alljax.explain.request import CheckedRequest
from alljax.runs import preparation
from alljax.storage.text_files import csv_text

SEED = 0  # of the random images that each run draws
RUNS = 30
LEAST_CONCEPT, LEAST_RANDOM = 3, 6  # images
SIGNIFICANT = 0.05
COLUMNS = ('concept', 'class', 'layer', 'images', 'score', 'by_chance', 'p_value', 'accuracy', 'counts')


class ConceptScore(NamedTuple):
    """A concept tested on the images of one class."""

    concept: str  # its folder
    label: str
    images: int
    found: gradients.ConceptTest
    counts: bool  # the score is not that of chance, by Holm's correction over all that were tested


class Concepts(NamedTuple):
    """Folders of images as the network takes them."""

    names: list[str]
    images: list[Float[Array, 'some ...']]
    random: Float[Array, 'others ...']


def read(request: CheckedRequest, folders: Sequence[Path], random: Path | None) -> Concepts:
    """The concepts and the random images; UserError with every folder that cannot be used, and why."""
    problems = [] if request.options.layer else ['--concept: this network has no map or tokens; name a --layer']
    if random is None:
        problems.append('--concept: expected --random FOLDER, too: images like those of the concepts, without them')
    found = {}
    for folder in [*folders, *([random] if random else [])]:
        least = LEAST_RANDOM if folder == random else LEAST_CONCEPT
        try:
            files = preparation.read(image_files.files([folder]), request.run.card)
        except UserError as error:
            problems += error.problems
            continue
        unread = [f'{file.path} {file.error}' for file in files if isinstance(file, Unread)]
        cells = [file for file in files if isinstance(file, ImageFile)]
        if unread:
            problems.append(f'{some(unread, 3)}; fix or move them, for a concept is all of its images')
        elif len(cells) < least:
            problems.append(f'{folder}: {len(cells)} images; expected {least} or more')
        else:
            found[folder] = images.batch(request.run, cells).x
    if problems or random is None:
        raise UserError(*problems)
    return Concepts([str(folder) for folder in folders], [found[folder] for folder in folders], found[random])


def scores(request: CheckedRequest, concepts: Concepts, step: Step = no_step) -> list[ConceptScore]:
    """Each concept on the images of each class: predicted as such, or all of them for a given target.

    UserError for logits that are not finite.
    """
    run, cells, size = request.run, request.cells, request.options.batch_size
    x = images.batch(run, cells).x
    target = targets_of(run, cells, request.target, size)
    rows = []
    for name, concept in zip(concepts.names, concepts.images, strict=True):
        step(name, 0)
        for label in np.unique(target).tolist():
            chosen = np.flatnonzero(target == label)
            found = gradients.tcav(
                run.model, run.variables, x[chosen], label, concept=concept, random=concepts.random,
                key=jax.random.key(SEED), layer=request.options.layer, runs=RUNS, batch_size=size,
            )  # fmt: skip
            rows.append(ConceptScore(name, run.classes[label], len(chosen), found, False))
        step(name, 1)
    counts = significant([float(row.found.p_value) for row in rows])
    return [row._replace(counts=count) for row, count in zip(rows, counts, strict=True)]


def significant(p_values: Sequence[float]) -> list[bool]:
    """True for those that count after Holm's correction for them all; never for one that is not a number."""
    known = [1.0 if math.isnan(value) else value for value in p_values]
    return [adjusted <= SIGNIFICANT for adjusted in paired_tests.holm(known)]


def as_csv(found: Sequence[ConceptScore], layer: str) -> str:
    """The table as text, a line for each concept and class."""
    rows = [
        [row.concept, row.label, layer, row.images, *(f'{float(value):.6g}' for value in row.found[:4]),
         'yes' if row.counts else 'no']
        for row in found
    ]  # fmt: skip
    return csv_text(COLUMNS, rows)


def lines(found: Sequence[ConceptScore], layer: str) -> list[str]:
    """The table for the terminal, and what it says."""
    width = max(len(row.concept) for row in found)
    said = [
        f'share of images whose logit rises along a concept at {layer}, means of {RUNS} draws of random images '
        '(by chance: along other random images; told apart: concept from random images, left out one at a time):'
    ]
    for row in found:
        score, chance, p_value, accuracy = (float(value) for value in row.found[:4])
        place = 'within chance' if not row.counts else 'above chance' if score > chance else 'below chance'
        said.append(
            f'  {row.concept:{width}}  {row.label} ({row.images}): {score:.0%}, by chance {chance:.0%}, {place} '
            f'(p = {p_value:.2g}); told apart {accuracy:.0%}'
        )
    return said
