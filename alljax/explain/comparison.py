"""All measures of the methods on the user's images: which heat maps of this network are to be believed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from alljax import gradients
from alljax.errors import UserError, some
from alljax.explain import calibrated, images, masks
from alljax.explain.measurements import Step, no_step, targets_of
from alljax.explain.methods import METHODS
from alljax.explain.request import CheckedRequest
from alljax.gradients.method_comparison import MEASURES, MethodRank, MethodScore
from alljax.models import Variables
from alljax.storage.text_files import csv_text

SEED = 0  # of the noise, the random weights and the other classes that measures draw
COLUMNS = ('method', 'measure', 'better', 'mean', 'low', 'high', 'images')


class Comparison(NamedTuple):
    """The table and the ranks of the methods on some images."""

    scores: list[MethodScore]
    ranks: list[MethodRank]  # the best first
    images: int


def compare(request: CheckedRequest, step: Step = no_step) -> Comparison:
    """Every measure of every method of a request on its images, each image's target its predicted class.

    UserError for logits and maps that are not finite, with the cells and the method; `check` refuses fewer than two
    methods or images.
    """
    run, cells = request.run, request.cells
    options = request.options._replace(temperature=calibrated.temperature_of(run.card.calibration))
    x = images.batch(run, cells).x
    target = jnp.asarray(targets_of(run, cells, request.target, options.batch_size))
    apply = calibrated.divided(run.model.apply, options.temperature)
    parts = [masks.of(cell.path, run)[0] for cell in cells]
    outlines = np.stack([part.regions['cell'] for part in parts if part]) if all(parts) else None
    scores = []
    for name in request.methods:
        step(METHODS[name].title, 0)
        scores += gradients.judge_methods(
            {name: as_method(name, request, options)}, apply, run.variables, x, target,
            key=jax.random.key(SEED), mask=outlines, batch_size=options.batch_size,
        )  # fmt: skip
        step(METHODS[name].title, 1)
    return Comparison(scores, gradients.rank_methods(scores), len(cells))


def check(request: CheckedRequest) -> None:
    """UserError for a request that compares nothing."""
    problems = []
    if len(request.methods) < 2:
        problems.append(f'--compare: one method ({", ".join(request.methods)}) has no rank; name more by --methods')
    if len(request.cells) < 2:
        problems.append('--compare: one image tells nothing of the next; give ten or more')
    if problems:
        raise UserError(*problems)


def as_method(name: str, request: CheckedRequest, options: Any) -> Callable[..., gradients.Attribution]:
    """A method of METHODS as `alljax.gradients` calls one: measures give it other variables, images and targets.

    Its `batch_size` is bound, so that measures which ask for several samples of noise at once keep to it.
    """

    def method(
        apply: Any, variables: Variables, x: Array, target: Any, *, batch_size: int, **_: Any
    ) -> gradients.Attribution:
        wanted = jnp.broadcast_to(jnp.asarray(target), (len(x),))
        found = METHODS[name].function(request.run.model, variables, x, wanted, options._replace(batch_size=batch_size))
        _expect_finite(request, name, found, '' if variables is request.run.variables else ' for random weights')
        return gradients.Attribution(found)

    return partial(method, batch_size=options.batch_size)


def _expect_finite(request: CheckedRequest, name: str, found: Array, where: str) -> None:
    """UserError with the cells and the method for a map that is not finite; of a traced one nothing can be said."""
    if isinstance(found, jax.core.Tracer):
        return
    broken = ~np.isfinite(np.asarray(found)).reshape(len(found), -1).all(1)
    if broken.any():
        paths = [str(request.cells[row % len(request.cells)].path) for row in np.flatnonzero(broken).tolist()]
        raise UserError(
            f'{some([*dict.fromkeys(paths)], 4)}: the map of {name}{where} holds NaN or infinity, so it cannot be '
            'compared; leave the method out by --methods, or give another run if its training had diverged'
        )


def as_csv(found: Sequence[MethodScore]) -> str:
    """The table as text: a line for each method and measure, empty where there is no number."""
    rows = [
        [one.method, one.measure, 'higher' if one.higher else 'lower', *map(_number, (one.mean, one.low, one.high)),
         one.inputs]
        for one in found
    ]  # fmt: skip
    return csv_text(COLUMNS, rows)


def _number(value: float) -> str:
    return f'{value:.6g}' if np.isfinite(value) else ''


def lines(found: Comparison) -> list[str]:
    """The ranks for the terminal, the best method first."""
    measures = sum(MEASURES[name].ranks for name in dict.fromkeys(one.measure for one in found.scores))
    said = [
        f'mean rank of {len(found.ranks)} methods over {measures} measures on {found.images} images, 1 is the best '
        '(in brackets the 95 % interval over images):'
    ]
    width = max(len(rank.method) for rank in found.ranks)
    for rank in found.ranks:
        first = f'first in {rank.first}' if rank.first else ''
        said.append(
            f'  {rank.method:{width}} {rank.mean_rank:5.2f} ({rank.low:.2f} to {rank.high:.2f})  {first}'.rstrip()
        )
    return said
