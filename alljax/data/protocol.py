"""The order of splitting and enlarging: that of the paper, which leaks, and that which does not."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, UInt8

from alljax.data import augment, jitter
from alljax.data.augment import Augmentation
from alljax.data.cells import Cells
from alljax.data.split import Index, Split, SplitOptions, split
from alljax.storage import progress_bar

PUBLISHED_CELLS = 310  # images before enlarging: ALL-IDB2 and 50 more blasts [paper]
PUBLISHED_COUNTS = {'L1': 266, 'L2': 153, 'L3': 81, 'normal': 260}  # with their copies [paper]
COPY_MARK = '#'  # 'Im001_1.tif#2' is the second copy of Im001_1.tif
CHUNK = 64  # cells turned at a time


def divide(cells: Cells, options: SplitOptions, augmentation: Augmentation, seed: int) -> tuple[Cells, Split]:
    """The cells, with their copies if the augmentation asks for them, and who trains and tests.

    Under 'paper' the copies are made first and split like any cell, so that turned pictures of one cell stand on both
    sides. Otherwise only cells of the training side have copies.
    """
    if options.protocol == 'paper':
        if augmentation.copies == 'published':
            cells = add_copies(cells, np.arange(len(cells)), target_counts(cells), augmentation, seed)
        return cells, split(cells, options, seed)
    return with_copies(cells, split(cells, options, seed), augmentation, seed)


def with_copies(cells: Cells, parts: Split, augmentation: Augmentation, seed: int) -> tuple[Cells, Split]:
    """The cells of a split with the copies of its training side, if the augmentation asks for them."""
    if augmentation.copies != 'published':
        return cells, parts
    everywhere = np.bincount(cells.labels, minlength=len(cells.classes))
    trained = np.bincount(cells.labels[parts.train], minlength=len(cells.classes))
    wanted = np.round(target_counts(cells) * (trained / everywhere)).astype(int)
    grown = add_copies(cells, parts.train, wanted, augmentation, seed)
    return grown, parts._replace(train=np.concatenate([parts.train, np.arange(len(cells), len(grown))]))


def target_counts(cells: Cells) -> Integer[np.ndarray, ' classes']:
    """Pictures of each class after enlarging: the published counts, in proportion to the number of cells there are.

    From 310 cells 760 pictures, 266 L1, 153 L2, 81 L3 and 260 normal (500 blasts); of other classes each as many times
    as they were. A class that has more cells than that keeps them.
    """
    counts = np.bincount(cells.labels, minlength=len(cells.classes))
    published = {**PUBLISHED_COUNTS, 'blast': sum(PUBLISHED_COUNTS.values()) - PUBLISHED_COUNTS['normal']}
    total = sum(PUBLISHED_COUNTS.values())
    if all(name in published for name in cells.classes):
        shares = np.array([published[name] for name in cells.classes]) / total
    else:
        shares = counts / counts.sum()
    return np.maximum(counts, np.round(shares * len(cells) * total / PUBLISHED_CELLS).astype(int))


def add_copies(
    cells: Cells, among: Index, wanted: Integer[np.ndarray, ' classes'], augmentation: Augmentation, seed: int
) -> Cells:
    """All cells, then turned and mirrored copies of those in `among` until each class has the `wanted` number there.

    Every cell is copied equally often, give or take one. A copy is a function of (seed, cell, number of the copy), so
    that the same copies serve every split. It keeps the group and the repeat of its cell.
    """
    rng = np.random.default_rng([seed, 5])
    sources: list[int] = []
    for label, number in enumerate(wanted):
        members = rng.permutation(np.flatnonzero(cells.labels == label))
        members = members[np.isin(members, among)]
        sources += np.resize(members, max(0, number - len(members))).tolist() if len(members) else []
    number_of: dict[int, int] = {}
    numbers = []
    for source in sources:
        number_of[source] = number_of.get(source, 0) + 1
        numbers.append(number_of[source])
    if not sources:
        return cells
    index = np.array(sources)
    copies = cells.take(index)
    return replace(
        cells,
        images=np.concatenate([cells.images, _draw_copies(copies, index, np.array(numbers), augmentation, seed)]),
        labels=np.concatenate([cells.labels, copies.labels]),
        groups=np.concatenate([cells.groups, copies.groups]),
        repeats=np.concatenate([cells.repeats, copies.repeats]),
        sizes=None if copies.sizes is None else np.concatenate([cells.sizes, copies.sizes]),
        sides=cells.sides + copies.sides,
        names=cells.names
        + tuple(f'{name}{COPY_MARK}{number}' for name, number in zip(copies.names, numbers, strict=True)),
    )


def make_copier(augmentation: Augmentation, seed: int) -> Callable[..., UInt8[Array, 'cells size size 3']]:
    """The jitted function from pictures, their cells' and their copies' numbers to the bytes of changed copies."""

    @jax.jit
    def turn(images: Array, source: Array, number: Array) -> Array:
        base = jax.random.key(seed)
        keys = jax.vmap(lambda s, n: jax.random.fold_in(jax.random.fold_in(base, s), n))(source, number)
        draw = partial(augment.draw, count=1, degrees=augmentation.rotate, mirror=augmentation.mirror)
        angle, sign = jax.vmap(draw)(keys)
        image = augment.warp(images, angle[:, 0], sign[:, 0], images.shape[1])
        if augmentation.light:
            light = augmentation.light
            relit = jax.vmap(lambda one, key: augment.relight(one[None], jax.random.fold_in(key, 1), light)[0])
            image = relit(image, keys)
        image = jax.vmap(lambda one, key: jitter.jittered(one[None], key, augmentation)[0])(image, keys)
        return jnp.clip(jnp.round(image), 0, 255).astype(jnp.uint8)

    return turn


def _draw_copies(copies: Cells, sources: Index, numbers: Index, augmentation: Augmentation, seed: int) -> np.ndarray:
    """The copies, a few at a time so that one program serves any number."""
    turn, results = make_copier(augmentation, seed), []
    with progress_bar.shown('copies', len(sources), ' copies') as bar:
        for start in range(0, len(sources), CHUNK):
            rows = np.resize(np.arange(start, min(start + CHUNK, len(sources))), CHUNK)
            turned = turn(copies.images[rows], jnp.asarray(sources[rows]), jnp.asarray(numbers[rows]))
            results.append(np.asarray(turned)[: len(sources) - start])
            bar.update(len(results[-1]))
    return np.concatenate(results)
