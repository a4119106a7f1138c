"""All measures of all attribution methods on one set of inputs, as a table with intervals, and the ranks in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import check_counts, check_finite, check_method_result, is_array
from alljax.gradients.class_activation_maps import resize_map
from alljax.gradients.faithfulness import deletion, infidelity, insertion, max_sensitivity
from alljax.gradients.imputed_faithfulness import irof, road
from alljax.gradients.localization_scores import localization
from alljax.gradients.map_statistics import complexity, sparseness
from alljax.gradients.method_stability import random_logit, relative_input_stability, relative_output_stability
from alljax.gradients.model_randomization import parameter_randomization
from alljax.gradients.network_checks import prepare
from alljax.gradients.positions import positions
from alljax.gradients.typing import Attribution, Inputs, Method, Network, Params, Target

BOOTSTRAPS = 1000  # samples of the inputs, with replacement


class Judged(NamedTuple):
    """One method on one set of inputs: all that a measure may ask for."""

    method: Method
    apply: Network
    params: Params
    x: Inputs
    target: Target
    map: Array  # at the size of the inputs
    found: Array  # as the method gave it
    mask: Any
    key: Key[Array, '']
    batch_size: int | None

    @property
    def asked(self) -> tuple[Network, Params, Inputs, Target]:
        """The arguments that a method is called with."""
        return self.apply, self.params, self.x, self.target


class Measure(NamedTuple):
    """A number for each input, and whether more of it is better."""

    function: Callable[[Judged], Float[Array, ' batch']]
    higher: bool
    reads: str  # what it says, in a few words
    possible: Callable[[Judged], bool] = lambda judged: True
    ranks: bool = True  # False for one of which neither more nor less is better


class MethodScore(NamedTuple):
    """The mean of a measure over the inputs, with its interval; NaN where no input has a number."""

    method: str
    measure: str
    mean: float
    low: float
    high: float
    inputs: int  # that have a number
    higher: bool
    values: Float[np.ndarray, ' batch']


class MethodRank(NamedTuple):
    """The place of a method among those compared: 1 is the best of all measures."""

    method: str
    mean_rank: float  # over the measures that rank, by their means
    low: float
    high: float
    first: int  # measures in which it is the best


def _randomization(judged: Judged) -> Array:
    found = parameter_randomization(judged.method, *judged.asked, key=judged.key)
    return jnp.stack(list(found.values())).mean(0)


def _of_images(judged: Judged) -> bool:
    return len(judged.x.shape) == 4


# Name → measure. The lower, the better, unless it says otherwise.
MEASURES: dict[str, Measure] = {
    'deletion': Measure(lambda j: deletion(*j.asked, j.map, batch_size=j.batch_size).area, False,
                        'probability while the most marked pixels go'),
    'insertion': Measure(lambda j: insertion(*j.asked, j.map, batch_size=j.batch_size).area, True,
                         'probability while the most marked pixels come'),
    'road': Measure(lambda j: road(*j.asked, j.map, key=j.key, batch_size=j.batch_size).probability.mean(1), False,
                    'probability while they are filled in from their neighbors', _of_images),
    'irof': Measure(lambda j: irof(*j.asked, j.map, batch_size=j.batch_size).area, True,
                    'what is lost while superpixels go', _of_images),
    'infidelity': Measure(lambda j: infidelity(*j.asked, j.found, key=j.key, batch_size=j.batch_size), False,
                          'error as a linear model of the logit', lambda j: j.found.shape == j.x.shape),
    'pointing': Measure(lambda j: localization(j.map, j.mask).pointing, True, 'the most marked pixel is on the mask',
                        lambda j: j.mask is not None),
    'mass': Measure(lambda j: localization(j.map, j.mask).mass, True, 'share of the marks on the mask',
                    lambda j: j.mask is not None),
    'max_sensitivity': Measure(lambda j: max_sensitivity(j.method, *j.asked, key=j.key), False,
                               'change under small noise'),
    'relative_input_stability': Measure(lambda j: relative_input_stability(j.method, *j.asked, key=j.key), False,
                                        'relative change over that of the input'),
    'relative_output_stability': Measure(lambda j: relative_output_stability(j.method, *j.asked, key=j.key), False,
                                         'relative change over that of the logits'),
    'parameter_randomization': Measure(_randomization, False, 'likeness to the map of random weights'),
    'random_logit': Measure(lambda j: random_logit(j.method, *j.asked, key=j.key), False,
                            'likeness to the map of another class'),
    'sparseness': Measure(lambda j: sparseness(j.map), True, 'on how few pixels the marks are', ranks=False),
    'complexity': Measure(lambda j: complexity(j.map), False, 'on how many pixels the marks are', ranks=False),
}  # fmt: skip


def judge_methods(
    methods: Mapping[str, Method], apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''],
    measures: Sequence[str] | None = None, mask: Any = None, level: float = 0.95, batch_size: int | None = None,
) -> list[MethodScore]:  # fmt: skip
    """Every measure of every method on one set of inputs, with intervals: a row for each pair that has a meaning.

    `methods` are functions by name, called as those of this package are, options bound by `functools.partial`; maps of
    layers are enlarged to the images. `measures` are names of `MEASURES`, by default all; those that do not apply are
    left out: `infidelity` of maps of other shapes than the inputs, what needs images or a `mask` [batch, height, width]
    where there are none. All draw from the same `key`, so that methods are compared on the same noise. The interval
    holds `level` of the means of 1,000 bootstrap samples of the inputs. An input without a number, as one whose map is
    zero everywhere, is left out of its mean. Inputs are of any rank that the methods take. It loops in Python and gives
    plain numbers, so it cannot be jitted. ValueError for an unknown measure, or no methods.

    >>> methods = {'saliency': gradients.saliency}
    >>> rows = gradients.judge_methods(methods, apply, params, x, y, key=key, measures=['irof'])
    >>> [(row.method, row.measure, row.inputs) for row in rows]
    [('saliency', 'irof', 4)]
    """
    check_counts('judge_methods', batch_size=batch_size)
    names = list(MEASURES) if measures is None else list(measures)
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        raise ValueError(f'judge_methods: measures are {names}; there are {", ".join(MEASURES)}')
    if not isinstance(methods, Mapping) or not methods:
        raise ValueError(f'judge_methods: methods are {methods!r}; expected functions by name, one or more')
    if not 0 < level < 1:
        raise ValueError(f'judge_methods: level is {level}; expected a share between 0 and 1')
    prepare('judge_methods', apply, params, x, target, tokens=True)
    if mask is not None and (not is_array(mask) or tuple(mask.shape) != positions(x.shape)):
        raise ValueError(f'judge_methods: mask is {getattr(mask, "shape", mask)}; expected {positions(x.shape)}')
    check_finite('judge_methods', 'mask', np.zeros(1) if mask is None else mask)
    rows = []
    drawn = np.asarray(jax.random.randint(jax.random.fold_in(key, 1), (BOOTSTRAPS, len(x)), 0, len(x)))
    for name, method in methods.items():
        found = check_method_result('judge_methods', method(apply, params, x, target), x)
        sized = _at_input_size(found, x)
        judged = Judged(method, apply, params, x, target, sized, jnp.asarray(found.map), mask, key, batch_size)
        for measure in names:
            if MEASURES[measure].possible(judged):
                values = np.asarray(MEASURES[measure].function(judged), float)
                rows.append(_scored(name, measure, values, drawn, level))
    return rows


def rank_methods(scores: Sequence[MethodScore]) -> list[MethodRank]:
    """The methods of a table by their mean rank over its measures, the best first.

    A measure ranks the methods that have a number by their means, ties in the middle; `sparseness` and `complexity`
    rank none, because neither few nor many marked pixels are right. The interval is that of the mean rank over 1,000
    bootstrap samples of the inputs, of any rank as they were. Of plain numbers: it cannot be jitted. ValueError for an
    empty table.

    >>> methods = {'saliency': gradients.saliency, 'deep_lift': gradients.deep_lift}
    >>> rows = gradients.judge_methods(methods, apply, params, x, y, key=key, measures=['irof'])
    >>> sorted(row.mean_rank for row in gradients.rank_methods(rows))
    [1.0, 2.0]
    """
    ranking = [score for score in scores if MEASURES[score.measure].ranks]
    if not ranking:
        raise ValueError('rank_methods: scores hold no measure that ranks; give rows of judge_methods')
    methods = list(dict.fromkeys(score.method for score in ranking))
    count = len(ranking[0].values)
    drawn = np.random.default_rng(0).integers(0, count, (BOOTSTRAPS, count))
    whole, sampled = [], []
    for measure in dict.fromkeys(score.measure for score in ranking):
        table = np.full((len(methods), count), np.nan)
        for score in ranking:
            if score.measure == measure:
                table[methods.index(score.method)] = -score.values if score.higher else score.values
        whole.append(_ranks(_means(table)))
        sampled.append(_ranks(_means(table[:, drawn])))
    ranks, samples = np.array(whole), _means(np.moveaxis(np.array(sampled), 0, -1))
    found = [
        MethodRank(
            method,
            float(_means(ranks[:, place])),
            float(np.nanquantile(samples[place], 0.025)),
            float(np.nanquantile(samples[place], 0.975)),
            int((ranks[:, place] == np.nanmin(ranks, 1)).sum()),
        )
        for place, method in enumerate(methods)
    ]
    return sorted(found, key=lambda rank: rank.mean_rank)


def _at_input_size(found: Attribution, x: Inputs) -> Array:
    """The map at the size of the inputs: those of layers are enlarged."""
    marks = jnp.asarray(found.map)
    if len(x.shape) == 4 and marks.ndim == 3 and marks.shape[1:] != tuple(x.shape[1:3]):
        return resize_map(marks, (x.shape[1], x.shape[2]))
    return marks


def _scored(
    method: str, measure: str, values: np.ndarray, drawn: np.ndarray, level: float
) -> MethodScore:  # fmt: skip
    values = np.where(np.isfinite(values), values, np.nan)
    means = _means(values[drawn])
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist() if np.isfinite(means).any() else (
        np.nan, np.nan)  # fmt: skip
    known = int(np.isfinite(values).sum())
    return MethodScore(method, measure, float(_means(values)), low, high, known, MEASURES[measure].higher, values)


def _means(values: np.ndarray) -> np.ndarray:
    """Means over the last axis of what are numbers; NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(-1)
    sums: np.ndarray = np.where(known, values, 0).sum(-1)
    return np.where(count, sums / np.maximum(count, 1), np.nan)


def _ranks(means: np.ndarray) -> np.ndarray:
    """The places along the first axis, 1 for the least, ties in the middle; NaN where there is no number."""
    below = (means[None] < means[:, None]).sum(1)
    alike = (means[None] == means[:, None]).sum(1)
    return np.where(np.isfinite(means), below + (alike + 1) / 2, np.nan)
