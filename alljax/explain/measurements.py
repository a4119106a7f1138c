"""The measurements of each cell: its class, its maps, and the scores that say how far each map can be trusted."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from scipy.special import softmax

from alljax.data.image_files import Picture
from alljax.explain import images, masks
from alljax.explain.methods import METHODS, Options
from alljax.gradients import Curve, deletion, insertion, localization
from alljax.runs.trained import Trained
from alljax.training import inference

STEPS = 20  # of the curves: 5% of the pixels each
AT_ONCE = 4  # cells; few, so that a line is printed soon


class Where(NamedTuple):
    """How one map lies to one region of the cell; NaN where the map or the region is empty."""

    mass: float  # share of the absolute attribution
    area: float  # share of the image
    pointing: float  # 1 if the most marked pixel lies in the region


class Marked(NamedTuple):
    """One method's answer for one cell. A map that is zero everywhere ranks no pixel: its areas are NaN."""

    map: Float[np.ndarray, 'size size']
    deletion: float  # area under the curve, 0 to 1
    insertion: float
    deleted: Float[np.ndarray, ' points']  # probability of the target while pixels go
    inserted: Float[np.ndarray, ' points']  # the same while they come back
    regions: dict[str, Where]  # 'cell' and 'nucleus', where they are known


class Explained(NamedTuple):
    """One cell with all maps."""

    file: str
    note: str
    rgb: UInt8[np.ndarray, 'size size 3']
    probabilities: Float[np.ndarray, ' classes']
    target: int
    marked: dict[str, Marked]  # by method


def explain(
    run: Trained, cells: Sequence[Picture], methods: Sequence[str], options: Options, target: int | None = None
) -> Iterator[Explained]:
    """One result for each cell, in order; the target is its predicted class unless one is given."""
    logits_of = inference.make_logits(run.model)
    parts = math.ceil(len(cells) / min(AT_ONCE, options.batch_size)) if cells else 0
    for index in np.array_split(np.arange(len(cells)), parts) if parts else []:
        full = math.ceil(len(cells) / parts)
        chosen = [cells[int(i)] for i in np.resize(index, full)]  # of one shape, or all is compiled again
        logits = logits_of(run.variables, jnp.asarray(np.stack([cell.pixels for cell in chosen])))
        rows = softmax(np.asarray(logits, np.float64), axis=1)
        wanted = rows.argmax(1) if target is None else np.full(full, target)
        batch = images.batch(run, chosen)
        found = {name: _measured(run, name, batch, jnp.asarray(wanted), options) for name in methods}
        rgb = np.asarray(jnp.clip(jnp.round(batch.rgb), 0, 255)).astype(np.uint8)
        for row in range(len(index)):
            truth, note = masks.of(chosen[row].path, run)
            regions = truth.regions if truth else {}
            yield Explained(
                file=str(chosen[row].path),
                note='; '.join(part for part in (chosen[row].note, note) if part),
                rgb=rgb[row],
                probabilities=rows[row],
                target=int(wanted[row]),
                marked={name: _of_one(marked, row, regions) for name, marked in found.items()},
            )


def located(cells: Sequence[Explained], method: str) -> dict[str, Where]:
    """The mean over cells of how a method's maps lie to each region; empty where none is known.

    A cell counts if its map and the region are there.
    """
    means = {}
    for region in ('cell', 'nucleus'):
        known = [one.marked[method].regions[region] for one in cells if region in one.marked[method].regions]
        known = [where for where in known if not math.isnan(where.mass)]
        if known:
            means[region] = Where(*np.mean(known, axis=0).tolist())
    return means


def areas(cells: Sequence[Explained]) -> tuple[dict[str, float], int]:
    """The mean share of the image that each region takes, which is what chance would give, and of how many cells."""
    known = [next(iter(one.marked.values())).regions for one in cells]
    known = [regions for regions in known if regions]
    names = known[0] if known else ()
    return {name: float(np.mean([regions[name].area for regions in known])) for name in names}, len(known)


def _measured(
    run: Trained, name: str, batch: images.Batch, wanted: Array, options: Options
) -> tuple[np.ndarray, Curve, Curve]:
    model, variables = run.model, run.variables
    found = METHODS[name].function(model, variables, batch.x, wanted, options)
    ask = (model.apply, variables, batch.x, wanted, found)
    how: dict[str, Any] = {'steps': STEPS, 'baseline': batch.blurred, 'batch_size': options.batch_size}
    return np.asarray(found), deletion(*ask, **how), insertion(*ask, **how)


def _of_one(found: tuple[np.ndarray, Curve, Curve], row: int, regions: Mapping[str, np.ndarray]) -> Marked:
    maps, deleted, inserted = found
    empty = not maps[row].any()
    return Marked(
        map=maps[row],
        deletion=math.nan if empty else float(deleted.area[row]),
        insertion=math.nan if empty else float(inserted.area[row]),
        deleted=np.asarray(deleted.probability[row]),
        inserted=np.asarray(inserted.probability[row]),
        regions={name: _where(maps[row], mask) for name, mask in regions.items()},
    )


def _where(found: Float[np.ndarray, 'size size'], mask: np.ndarray) -> Where:
    if not found.any():
        return Where(math.nan, float(mask.mean()), math.nan)
    at = localization(found[None], mask[None])
    return Where(float(at.mass[0]), float(at.area[0]), float(at.pointing[0]))
