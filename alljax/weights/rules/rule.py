"""Rules from a file's tensors to a tree's leaves, and the check that they leave nothing over on either side."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax import dtypes

from alljax.errors import UserError, some

OTHER = 'the file is of another network'
Transform = Callable[[np.ndarray], np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
HEAD = 'params/head/'  # the leaves of the last layers


class Rule(NamedTuple):
    r"""One line of a table: the tensors whose whole name matches `source` go to the leaf `target`, transformed.

    `target` may use the groups of `source` (\1) and is empty for tensors that have no place in the tree.
    """

    source: str
    target: str
    transform: Transform = np.asarray


def convolution(source: str, target: str) -> tuple[Rule, ...]:
    """A convolution's kernel from [out, in, rows, columns] to [rows, columns, in, out], and its bias."""
    return _weights(source, target, lambda weight: weight.transpose(2, 3, 1, 0))


def dense(source: str, target: str) -> tuple[Rule, ...]:
    """A dense layer's kernel from [out, in] to [in, out], and its bias."""
    return _weights(source, target, np.transpose)


def dense_after_map(source: str, target: str, side: int) -> tuple[Rule, ...]:
    """`dense` for the features of a map of `side` by `side`: torch flattens them channel by channel, we do not."""

    def transform(weight: np.ndarray) -> np.ndarray:
        if weight.ndim != 2 or weight.shape[1] % side**2:
            return weight.T  # `apply_rules` reports its shape
        return weight.reshape(len(weight), -1, side, side).transpose(2, 3, 1, 0).reshape(-1, len(weight))

    return _weights(source, target, transform)


def pointwise(source: str, target: str) -> tuple[Rule, ...]:
    """A 1×1 convolution that is a dense layer here."""
    return _weights(source, target, lambda weight: weight.reshape(weight.shape[:2]).T)


def layer_norm(source: str, target: str) -> tuple[Rule, ...]:
    """A normalization's scale and bias."""
    return Rule(rf'{source}\.weight', f'params/{target}/scale'), Rule(rf'{source}\.bias', f'params/{target}/bias')


def batch_norm(source: str, target: str) -> tuple[Rule, ...]:
    """A batch normalization's scale, bias and running statistics; torch's count of batches has no place here."""
    return (
        *layer_norm(source, target),
        Rule(rf'{source}\.running_mean', f'batch_stats/{target}/mean'),
        Rule(rf'{source}\.running_var', f'batch_stats/{target}/var'),
        Rule(rf'{source}\.num_batches_tracked', ''),
    )


def apply_rules(source: Mapping[str, np.ndarray], table: Sequence[Rule], target: Shapes) -> dict[str, np.ndarray]:
    """The leaves of `target` (name → shape) in float32, each from the one tensor that the table sends there.

    UserError with all problems together: a tensor that no rule or more than one rule takes, a leaf that is filled by
    none or several, a leaf of another shape, and numbers that no network computes with: integers, NaN or infinity.
    """
    problems: list[str] = []
    origins: dict[str, list[str]] = {name: [] for name in target}
    leaves: dict[str, np.ndarray] = {}
    misplaced = []
    for name, place, transform in match_tensors(source, table, problems):
        if place not in origins:
            misplaced.append(f'{name} (for {place})')
            continue
        origins[place].append(name)
        problems += _wrong_numbers(name, source[name], place)
        try:
            leaf = transform(source[name])
        except ValueError:  # it has more or fewer axes than the transform moves
            problems.append(
                f'{name} has shape {source[name].shape}, which cannot become {target[place]} at {place}; {OTHER}'
            )
            continue
        if leaf.shape != target[place]:
            problems.append(
                f'{name} has shape {source[name].shape}, which becomes {leaf.shape} at {place}, expected '
                f'{target[place]}; the file is of another size of this network'
            )
        leaves[place] = leaf
    for place, names in origins.items():
        if len(names) > 1:
            problems.append(f'{place} is filled by {some(names)}, expected one tensor; fix the rule table')
    missing = [place for place, names in origins.items() if not names]
    if missing:
        headless = all(place.startswith(HEAD) for place in missing)
        why = 'it has no last layers of this network; convert it with --without-head' if headless else OTHER
        problems.append(f'nothing in the file fills {some(missing)}; {why}')
    if misplaced:
        problems.append(f'the network has no place for {some(misplaced)}; {OTHER}')
    if problems:
        raise UserError(*problems)
    # Copies, so that the file's pages can go before the leaves are written.
    return {place: np.array(leaf, np.float32, order='C') for place, leaf in leaves.items()}


def fits(source: Mapping[str, np.ndarray], table: Sequence[Rule], target: Shapes) -> bool:
    """True if each tensor has a place, and each leaf of `target` its tensor, of the right shape."""
    problems: list[str] = []
    found = {}
    for name, place, transform in match_tensors(source, table, problems):
        try:
            found[place] = transform(source[name]).shape
        except ValueError:
            return False
    return not problems and found == dict(target)


def match_tensors(
    names: Sequence[str] | Mapping[str, object], table: Sequence[Rule], problems: list[str]
) -> list[tuple[str, str, Transform]]:
    """(tensor, leaf, transform) of every tensor that has a place; adds to `problems` where the table is not clear."""
    compiled = [(re.compile(rule.source), rule) for rule in table]
    found, unknown = [], []
    for name in names:
        matches = [(match, rule) for pattern, rule in compiled if (match := pattern.fullmatch(name))]
        if not matches:
            unknown.append(name)
        elif len(matches) > 1:
            problems.append(f'{name} matches {some([rule.source for _, rule in matches])}; fix the rule table')
        elif matches[0][1].target:
            match, rule = matches[0]
            found.append((name, match.expand(rule.target), rule.transform))
    if unknown:
        problems.append(f'no rule takes {some(unknown)}; {OTHER}')
    return found


def without_head(table: Sequence[Rule]) -> tuple[Rule, ...]:
    """The table with the published last layers dropped by rule, for a network that gets new ones."""
    return tuple(rule._replace(target='') if rule.target.startswith(HEAD) else rule for rule in table)


def _wrong_numbers(name: str, tensor: np.ndarray, place: str) -> list[str]:
    """A sentence about a tensor whose numbers are none that a network can compute with."""
    if not dtypes.issubdtype(tensor.dtype, np.floating):
        return [
            f'{name} is {tensor.dtype}, expected floating point numbers; a quantized network has to be saved as it was '
            'before'
        ]
    with np.errstate(over='ignore'):
        numbers = tensor.astype(np.float32, copy=False)
    broken = numbers.size - int(np.isfinite(numbers).sum())
    if broken:
        return [
            f'{name} holds NaN or infinity, {broken} of its {numbers.size} numbers; the file is damaged or its '
            'training had diverged: take an earlier one'
        ]
    if place.startswith('batch_stats/') and place.endswith('/var') and numbers.size and numbers.min() < 0:
        return [f'{name} goes down to {numbers.min()}, and a variance cannot be negative; the file is damaged, get it '
                'again']  # fmt: skip
    return []


def _weights(source: str, target: str, transform: Transform) -> tuple[Rule, ...]:
    return (
        Rule(rf'{source}\.weight', f'params/{target}/kernel', transform),
        Rule(rf'{source}\.bias', f'params/{target}/bias'),
    )
