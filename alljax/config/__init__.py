"""Config files and their overrides, with every mistake in them said at once."""

import ast
import difflib
import runpy
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from alljax.baselines.classify import CLASSIFIERS
from alljax.baselines.features import FEATURES, NETWORK
from alljax.baselines.preprocess import PREPROCESS
from alljax.baselines.segment import SEGMENTS
from alljax.baselines.systems import SYSTEMS, WHOLE
from alljax.data import color, denoise
from alljax.errors import UserError, nearest, some
from alljax.models import MODELS

CHOICES: dict[str, tuple[Any, ...]] = {
    'data.name': ('auto', 'all_idb2', 'folder', 'synthetic'),
    'data.task': ('detection', 'subtype', 'classes'),
    'data.denoise': denoise.NAMES,
    'data.color': color.MODELS,
    'data.equalize': ('undersample', 'oversample', 'weights', 'none'),
    'split.protocol': ('grouped', 'random', 'paper'),
    'augment.copies': ('fresh', 'published'),
    'baseline.system': ('', *SYSTEMS),
    'baseline.segment': (None, WHOLE, *SEGMENTS),
    'optimizer.name': ('sgd', 'adamw'),
    'optimizer.schedule': ('constant', 'cosine'),
}
# Fields that are several of these, in an order.
SEVERAL: dict[str, tuple[str, ...]] = {
    'baseline.preprocess': tuple(PREPROCESS),
    'baseline.features': (*FEATURES, NETWORK),
    'baseline.classify': tuple(CLASSIFIERS),
}
NOT_EMPTY = ('baseline.features', 'baseline.classify')
# Fields that may be None, with a value of the type that they have otherwise.
OPTIONAL: dict[str, Any] = {
    'model.dropout': 0.5,
    'baseline.preprocess': ('median',),
    'baseline.segment': 'otsu',
    'baseline.features': ('glcm',),
    'baseline.components': 6,
    'baseline.classify': ('knn',),
    'baseline.hierarchical': True,
}
#        field: (smallest, largest), both allowed
BOUNDS: dict[str, tuple[float, float]] = {
    'seed': (0, 2**31 - 1),
    'epochs': (1, 10**6),
    'batch_size': (1, 10**5),
    'data.size': (64, 1024),
    'data.cells': (40, 10**6),
    'split.test': (0.05, 0.95),
    'split.validation': (0, 0.5),
    'split.folds': (1, 1000),
    'split.fold': (-1, 999),
    'split.repeats': (1, 1000),
    'split.repeat': (-1, 999),
    'augment.rotate': (0, 180),
    'augment.light': (0, 1),
    'model.head': (0, 10**5),
    'model.width': (0.02, 4),
    'model.size': (0, 2048),
    'model.dropout': (0, 0.99),
    'baseline.components': (0, 10**4),
    'optimizer.rate': (0, 100),
    'optimizer.momentum': (0, 0.9999),
    'optimizer.l2': (0, 1),
    'optimizer.warmup': (0, 10**6),
    'optimizer.clip': (0, float('inf')),
    'stop.patience': (0, 10**6),
    'checkpoint.seconds': (0, float('inf')),
    'gradients.every': (0, 10**6),
}


def load(path: str | Path) -> ConfigDict:
    """The `get_config()` of a config file; UserError if there is none."""
    path = Path(path)
    if not path.is_file():
        beside = sorted(str(p) for p in Path('configs').rglob('*.py') if 'def get_config' in p.read_text())
        raise UserError(f'--config={path}: there is no such file; configs here are {", ".join(beside) or "none"}')
    names = runpy.run_path(str(path))
    if 'get_config' not in names:
        raise UserError(f'--config={path}: a config file has to define get_config(), as configs/subtype.py does')
    return names['get_config']()


def override(config: ConfigDict, values: Mapping[str, str]) -> None:
    """Sets dotted fields from the command line's strings; one UserError names every unknown key and wrong value."""
    problems = []
    fields = flat(config)
    for key, text in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0) or ['']
            problems.append(f'--config.{key}: there is no such field; did you mean --config.{near[0]}?')
            continue
        try:
            if key in OPTIONAL and text.lower() == 'none':
                set_field(config, key, None)
            else:
                set_field(config, key, _parse(text, OPTIONAL.get(key, fields[key])))
        except ValueError as error:
            problems.append(f'--config.{key}={text}: {error}')
    if problems:
        raise UserError(*problems)


def check(config: ConfigDict) -> None:
    """One UserError for all values that no run could use."""
    fields = flat(config)
    choices = {**CHOICES, 'model.name': tuple(MODELS)}  # MODELS may have got a network of the user's own
    problems = [
        f'config.{key} is {fields[key]!r}{nearest(str(fields[key]), map(str, allowed))}; '
        f'it may be {some([*map(repr, allowed)], 20)}'
        for key, allowed in choices.items()
        if fields[key] not in allowed
    ]
    problems += [
        problem for key, allowed in SEVERAL.items() for problem in unknown(f'config.{key}', fields[key] or (), allowed)
    ]
    problems += [f'config.{key} is (), expected one name at least, or None' for key in NOT_EMPTY if fields[key] == ()]
    problems += [
        f'config.{key} is {fields[key]}; it has to lie between {low:g} and {high:g}'
        for key, (low, high) in BOUNDS.items()
        if fields[key] is not None and not low <= fields[key] <= high
    ]
    if fields['stop.patience'] and not fields['split.validation']:
        problems.append(
            'config.stop.patience needs a validation fold; set config.split.validation, for example to 0.15'
        )
    problems += [
        f'config.split.{one} is {fields[f"split.{one}"]}, but there are {fields[f"split.{all_}"]} {all_}, from 0'
        for one, all_ in (('fold', 'folds'), ('repeat', 'repeats'))
        if fields[f'split.{one}'] >= fields[f'split.{all_}']
    ]
    if problems:
        raise UserError(*problems)


def unknown(field: str, names: Iterable[str], allowed: Collection[str]) -> list[str]:
    """A sentence for each name in a field of several that is none of the allowed."""
    return [
        f'{field} names {name!r}{nearest(str(name), allowed)}; it may name {some([*map(repr, allowed)], 20)}'
        for name in names
        if name not in allowed
    ]


def flat(config: ConfigDict | Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Dotted name → value, without the `when` table."""
    fields = {}
    for key, value in config.items():
        if key == 'when':
            continue
        if isinstance(value, ConfigDict):
            fields.update(flat(value, f'{prefix}{key}.'))
        else:
            fields[prefix + key] = value
    return fields


def set_field(config: ConfigDict, key: str, value: Any) -> None:
    """Sets a dotted field."""
    *parents, name = key.split('.')
    for parent in parents:
        config = config[parent]
    with config.ignore_type():
        config[name] = value


def _parse(text: str, old: Any) -> Any:
    """A string of the command line as a value of the type that the field has."""
    if isinstance(old, str):
        return text
    try:
        value = ast.literal_eval(text.capitalize() if text.lower() in ('true', 'false') else text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(old):
        names = {int: 'a whole number', float: 'a number', bool: 'true or false', tuple: f'a tuple such as {old!r}'}
        raise ValueError(f'expected {names[type(old)]}, as in {old!r}')
    return value
