"""The factor on the learning rate of each parameter, by its name; 0 for those that stay as they are."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from alljax.errors import UserError, some
from alljax.models.trees import flatten


def factors(names: Sequence[str], patterns: Sequence[tuple[str, float]], freeze: str) -> dict[str, float]:
    """Name → factor on the learning rate: that of the first pattern that matches the whole name, 0 where frozen.

    UserError if a name matches no pattern, a pattern no name, or nothing is left to train.
    """
    problems, result = [], {}
    compiled = [(_compile(pattern, 'config.optimizer.factors'), float(factor)) for pattern, factor in patterns]
    frozen = _compile(freeze, 'config.model.freeze') if freeze else None
    for name in names:
        matching = [factor for pattern, factor in compiled if pattern.fullmatch(name)]
        result[name] = 0.0 if frozen and frozen.fullmatch(name) else (matching or [float('nan')])[0]
    missing = [name for name, factor in result.items() if factor != factor]
    if missing:
        problems.append(
            f'config.optimizer.factors: no pattern matches {some(missing)}; add one, for example (".*", 1.0)'
        )
    for pattern in [pattern for pattern, _ in compiled] + ([frozen] if frozen else []):
        if not any(pattern.fullmatch(name) for name in names):
            field = 'model.freeze' if pattern is frozen else 'optimizer.factors'
            problems.append(f'config.{field}: {pattern.pattern!r} matches none of {some(list(names))}; fix it')
    if not problems and not any(result.values()):
        problems.append('config.model.freeze and config.optimizer.factors leave no parameter to train; free the head')
    if problems:
        raise UserError(*problems)
    return result


def trained(params: dict[str, Any], patterns: Sequence[tuple[str, float]], freeze: str) -> dict[str, float]:
    """The factors of a network's parameters that are not frozen, by name; UserError as of `factors`."""
    return {name: factor for name, factor in factors(list(flatten(params)), patterns, freeze).items() if factor}


def head_only(trained: Collection[str]) -> bool:
    """True if of all parameters only those of the last layers are trained."""
    return all(name.startswith('head/') for name in trained)


def _compile(pattern: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f'{field}: {pattern!r} is no regular expression ({error})') from None
