"""The measurements of each cell: its class, its maps, and the scores that say how far each map can be trusted."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from alljax.data.image_files import ImageFile
from alljax.errors import UserError, some
from alljax.evaluation import calibration
from alljax.explain import calibrated, images, masks
from alljax.explain.methods import METHODS, Options
from alljax.gradients import Curve, deletion, insertion, localization
from alljax.runs.network import TrainedNetwork
from alljax.training import inference

CURVE_STEPS = 20  # of the curves: 5% of the pixels each
CELLS_AT_ONCE = 4  # few, so that a line is printed soon

Step = Callable[[str, int], None]  # told the title of a method, and how many more maps are done


def no_step(title: str, done: int) -> None:
    """The step of who shows no progress."""


class RegionScores(NamedTuple):
    """The share of one map that lies on one region of the cell; NaN where the map or the region is empty."""

    mass: float  # share of the absolute attribution
    area: float  # share of the image
    pointing: float  # 1 if the most marked pixel lies in the region


class ScoredMap(NamedTuple):
    """One method's map of one cell, with its scores. A map that is zero everywhere ranks no pixel: its AUCs are NaN."""

    map: Float[np.ndarray, 'size size']
    deletion_auc: float  # area under the curve, 0 to 1
    insertion_auc: float
    deletion_curve: Float[np.ndarray, ' points']  # probability of the target, as the model says it, while pixels go
    insertion_curve: Float[np.ndarray, ' points']  # the same while they come back
    regions: dict[str, RegionScores]  # 'cell' and 'nucleus', where they are known


class Explanation(NamedTuple):
    """One cell with its probabilities and the maps of all methods."""

    file: str
    note: str
    rgb: UInt8[np.ndarray, 'size size 3']
    probabilities: Float[np.ndarray, ' classes']
    target: int
    maps: dict[str, ScoredMap]  # by method


def explain(
    run: TrainedNetwork, cells: Sequence[ImageFile], methods: Sequence[str], options: Options,
    target: int | None = None, step: Step = no_step,
) -> Iterator[Explanation]:  # fmt: skip
    """One result for each cell, in order; the target is its predicted class unless one is given.

    `step` is told before and after each method, with the number of maps that are done.
    UserError, with the name of the cell, for logits or a map with NaN or infinity: neither a class nor a score follows.
    """
    logits_of = inference.make_logits(run.model)
    options = options._replace(temperature=calibrated.temperature_of(run.card.calibration))
    parts = math.ceil(len(cells) / min(CELLS_AT_ONCE, options.batch_size)) if cells else 0
    for index in np.array_split(np.arange(len(cells)), parts) if parts else []:
        full = math.ceil(len(cells) / parts)
        chosen = [cells[int(i)] for i in np.resize(index, full)]  # of one shape, or all is compiled again
        logits = logits_of(run.variables, jnp.asarray(np.stack([cell.pixels for cell in chosen])))
        rows, targets = answers(run, chosen, np.asarray(logits), target)
        batch = images.batch(run, chosen)
        found = {}
        for name in methods:
            step(METHODS[name].title, 0)
            found[name] = _measured(run, name, chosen, batch, jnp.asarray(targets), options)
            step(METHODS[name].title, len(index))
        rgb = np.asarray(jnp.clip(jnp.round(batch.rgb), 0, 255)).astype(np.uint8)
        for row in range(len(index)):
            truth, note = masks.of(chosen[row].path, run)
            regions = truth.regions if truth else {}
            yield Explanation(
                file=str(chosen[row].path),
                note='; '.join(part for part in (chosen[row].note, note) if part),
                rgb=rgb[row],
                probabilities=rows[row],
                target=int(targets[row]),
                maps={name: _scored_map(maps, row, regions) for name, maps in found.items()},
            )


def answers(
    run: TrainedNetwork, cells: Sequence[ImageFile], logits: Float[np.ndarray, 'cells classes'], target: int | None
) -> tuple[Float[np.ndarray, 'cells classes'], Int[np.ndarray, ' cells']]:
    """The probabilities of each cell, as the model says them, and its target: its predicted class unless one is given.

    UserError, with the name of the cell, for logits that are not finite.
    """
    require_finite(cells, logits, "the network's logits")
    rows = calibration.as_said(inference.probabilities(logits, run.whose), run.card.calibration)
    return rows, rows.argmax(1) if target is None else np.full(len(cells), target)


def targets_of(
    run: TrainedNetwork, cells: Sequence[ImageFile], target: int | None, batch_size: int
) -> Int[np.ndarray, ' cells']:
    """The target of each cell, as of `answers`, by one pass through the network; UserError as of it."""
    pixels, everyone = np.stack([cell.pixels for cell in cells]), np.arange(len(cells))
    logits = inference.run(inference.make_logits(run.model), run.variables, pixels, everyone, batch_size)
    return answers(run, cells, logits, target)[1]


def mean_region_scores(cells: Sequence[Explanation], method: str) -> dict[str, RegionScores]:
    """The means over cells of a method's scores of each region; empty where no region is known.

    A cell counts if its map and the region are there.
    """
    means = {}
    for region in ('cell', 'nucleus'):
        known = [cell.maps[method].regions[region] for cell in cells if region in cell.maps[method].regions]
        known = [scores for scores in known if not math.isnan(scores.mass)]
        if known:
            means[region] = RegionScores(*np.mean(known, axis=0).tolist())
    return means


def mean_region_areas(cells: Sequence[Explanation]) -> tuple[dict[str, float], int]:
    """The mean share of the image that each region takes, which is what chance would give, and of how many cells."""
    known = [next(iter(cell.maps.values())).regions for cell in cells]
    known = [regions for regions in known if regions]
    names = known[0] if known else ()
    return {name: float(np.mean([regions[name].area for regions in known])) for name in names}, len(known)


def _measured(
    run: TrainedNetwork, name: str, cells: Sequence[ImageFile], batch: images.Batch, wanted: Array, options: Options
) -> tuple[np.ndarray, Curve, Curve]:
    model, variables = run.model, run.variables
    found = METHODS[name].function(model, variables, batch.x, wanted, options)
    require_finite(cells, np.asarray(found), f'the values of the map of {name}')
    arguments = (calibrated.divided(model.apply, options.temperature), variables, batch.x, wanted, found)
    settings: dict[str, Any] = {'steps': CURVE_STEPS, 'baseline': batch.blurred, 'batch_size': options.batch_size}
    return np.asarray(found), deletion(*arguments, **settings), insertion(*arguments, **settings)


def require_finite(cells: Sequence[ImageFile], values: np.ndarray, what: str) -> None:
    """UserError, with the names of the cells, for values that are not finite."""
    broken = ~np.isfinite(values).reshape(len(values), -1).all(1)
    names = list(dict.fromkeys(str(cell.path) for cell, wrong in zip(cells, broken, strict=True) if wrong))
    if names:
        raise UserError(
            f'{some(names, 4)}: {what} hold NaN or infinity, so there is no class and no score; the model is '
            'damaged or its training had diverged: give another run'
        )


def _scored_map(found: tuple[np.ndarray, Curve, Curve], row: int, regions: Mapping[str, np.ndarray]) -> ScoredMap:
    maps, deleted, inserted = found
    empty = not maps[row].any()
    return ScoredMap(
        map=maps[row],
        deletion_auc=math.nan if empty else float(deleted.area[row]),
        insertion_auc=math.nan if empty else float(inserted.area[row]),
        deletion_curve=np.asarray(deleted.probability[row]),
        insertion_curve=np.asarray(inserted.probability[row]),
        regions={name: _region_scores(maps[row], mask) for name, mask in regions.items()},
    )


def _region_scores(found: Float[np.ndarray, 'size size'], mask: np.ndarray) -> RegionScores:
    if not found.any():
        return RegionScores(math.nan, float(mask.mean()), math.nan)
    scores = localization(found[None], mask[None])
    return RegionScores(float(scores.mass[0]), float(scores.area[0]), float(scores.pointing[0]))
