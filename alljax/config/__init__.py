"""Config files and their overrides, with every mistake in them said at once."""

import ast
import difflib
import runpy
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from alljax.config import memory_needs
from alljax.config.field import Field
from alljax.config.fields import FIELDS, WHEN
from alljax.data import datasets, external
from alljax.data.datasets import DataOptions
from alljax.data.external import ExternalOptions
from alljax.data.split import GIVEN, LEAVE_ONE
from alljax.errors import UserError, nearest, some
from alljax.storage.prediction_views_record import TURNS

JITTER = tuple(f'augment.{name}' for name in ('stain', 'blur', 'noise', 'jpeg', 'gray'))  # of a step
LEAST_CROP = 32  # pixels a side: less shows no nucleus


def defaults() -> ConfigDict:
    """The paper's settings, without a task: every field of FIELDS, and `when`."""
    config = nested({name: field.default for name, field in FIELDS.items()})
    config.when = ConfigDict(WHEN)
    return config


def load(path: str | Path) -> ConfigDict:
    """The `get_config()` of a config file; UserError if there is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        beside = sorted(str(p) for p in Path('configs').rglob('*.py') if 'def get_config' in p.read_text())
        raise UserError(f'--config={path}: there is no such file; configs here are {", ".join(beside) or "none"}')
    try:
        names = runpy.run_path(str(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        line = f'line {error.lineno}: ' if isinstance(error, SyntaxError) and error.filename == str(path) else ''
        raise UserError(
            f'--config={path}: {line}is no Python ({error}); name a file that defines get_config(), as '
            'configs/subtype.py does'
        ) from error
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
            set_field(config, key, _parsed(text, FIELDS.get(key), fields[key]))
        except ValueError as error:
            problems.append(f'--config.{key}={text}: {error}')
    if problems:
        raise UserError(*problems)


def check(config: ConfigDict, *, data: bool = True) -> None:
    """One UserError for all values that no run could use.

    Without `data`, name, task and folder of the data set are not looked at: a sweep may have others for each run.
    """
    fields = flat(config)
    problems = [problem for name, field in FIELDS.items() for problem in wrong(name, field, fields[name])]
    if data:
        problems += [*datasets.problems(data_options(config)), *external.problems(external_options(config))]
    if fields['stop.patience'] and not fields['split.validation']:
        problems.append(
            'config.stop.patience needs a validation fold; set config.split.validation, for example to 0.15'
        )
    problems += [
        f'config.split.{one} is {fields[f"split.{one}"]}, but there are {fields[f"split.{all_}"]} {all_}, from 0'
        for one, all_ in (('fold', 'folds'), ('repeat', 'repeats'))
        if fields[f'split.{one}'] >= fields[f'split.{all_}']
        and not (one == 'fold' and fields['split.protocol'] == LEAVE_ONE)  # whose folds are the groups
    ]
    problems += _unusable_final_model(fields)
    problems += _unusable_changes(fields)
    problems += _unusable_calibration(fields)
    if problems:
        raise UserError(*problems)


def data_options(config: ConfigDict) -> DataOptions:
    """The data set that a config means, with the folder of $ALLJAX_DATA where it names none."""
    data = config.data
    options = DataOptions(
        data.name,
        data.root,
        data.task,
        data.size,
        data.cells,
        data.denoise,
        data.groups,
        data.device_cache_mb,
        memory_needs.needs(flat(config)),
    )
    return datasets.located(options)


def external_options(config: ConfigDict) -> ExternalOptions:
    """The second set on which a config tests as well."""
    test = config.test
    return ExternalOptions(test.root, test.name, test.labels, test.adapt_cells, test.adapt_groups)


def unknown(field: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    """A sentence for each name in a field of several that is none of the known ones."""
    return [
        f'{field} names {name!r}{nearest(str(name), known)}; it may name {some([*map(repr, known)], 20)}'
        for name in names
        if name not in known
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


def nested(fields: Mapping[str, Any]) -> ConfigDict:
    """The inverse of `flat`; lists, as JSON has them, become tuples."""
    config = ConfigDict()
    for key, value in fields.items():
        *parents, name = key.split('.')
        place = config
        for parent in parents:
            if parent not in place:
                place[parent] = ConfigDict()
            place = place[parent]
        place[name] = _tuples(value)
    return config


def set_field(config: ConfigDict, key: str, value: Any) -> None:
    """Sets a dotted field."""
    *parents, name = key.split('.')
    for parent in parents:
        config = config[parent]
    with config.ignore_type():
        config[name] = value


def with_fields(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
    """A copy of the config with some dotted fields changed."""
    changed = config.copy_and_resolve_references()
    for key, value in changes.items():
        set_field(changed, key, value)
    return changed


def wrong(name: str, field: Field, value: Any) -> list[str]:
    """A sentence for everything that is wrong with a value."""
    known = tuple(field.choices()) if field.choices else ()
    if value is None and field.default is None:
        return []
    if field.several:
        problems = unknown(f'config.{name}', value or (), known)
        if value == () and field.not_empty:
            problems.append(f'config.{name} is (), expected one name at least, or None')
        return problems
    if field.choices and value not in known:
        names = (None, *known) if field.default is None else known
        return [
            f'config.{name} is {value!r}{nearest(str(value), map(str, names))}; '
            f'it may be {some([*map(repr, names)], 20)}'
        ]
    if field.low is not None and value is not None and not field.low <= value <= field.high:
        return [f'config.{name} is {value}; it has to lie between {field.low:g} and {field.high:g}']
    return []


def _unusable_final_model(fields: Mapping[str, Any]) -> list[str]:
    """Sentences about a model on all cells that no folds estimate, and about a split that is none."""
    problems, left_out = [], fields['split.protocol'] == LEAVE_ONE
    if fields['split.final_model'] and fields['split.protocol'] == GIVEN:
        problems.append(
            f'config.split.final_model needs folds, and config.split.protocol={GIVEN} has one split; leave it out, or '
            'set the protocol to grouped'
        )
    elif fields['split.final_model'] and fields['split.folds'] == 1 and not left_out:
        problems.append(
            'config.split.final_model belongs to a cross-validation, whose folds say how good it is; set '
            'config.split.folds, for example to 5'
        )
    if fields['split.final_model'] and fields['split.fold'] >= 0:
        problems.append(
            f'config.split.final_model needs all folds, and config.split.fold is {fields["split.fold"]}; leave it out'
        )
    if fields['split.all_cells'] and (fields['split.folds'] > 1 or fields['split.repeats'] > 1):
        problems.append(
            'config.split.all_cells tests no cell, so there is nothing to divide in folds or to repeat; set '
            'config.split.final_model in its place, or config.split.folds and config.split.repeats to 1'
        )
    if fields['split.all_cells'] and fields['split.final_model']:
        problems.append('config.split.all_cells and config.split.final_model exclude each other; leave out the first')
    return problems


def _unusable_changes(fields: Mapping[str, Any]) -> list[str]:
    """Sentences about a crop that leaves no cell or is none, unseen jitter, and numbers of turns that there are not."""
    problems, crop, size = [], fields['data.crop'], fields['data.size']
    if crop and not LEAST_CROP <= crop <= size:
        problems.append(f'config.data.crop is {crop}; set it to 0, or to {LEAST_CROP} up to data.size, {size}')
    on = [name for name in JITTER if fields[name]]
    if on and fields['baseline.system'] and fields['augment.copies'] == 'fresh' and not fields['predict.copies']:
        problems.append(
            f'config.{on[0]} changes cells at each step of a network, and baseline.system='
            f"{fields['baseline.system']} has no steps; set it to 0, or set augment.copies='published'"
        )
    if (turns := fields['predict.turns']) not in TURNS and 1 <= turns <= TURNS[-1]:
        problems.append(f'config.predict.turns is {turns}; set it to one of {", ".join(map(str, TURNS))}')
    return problems


def _unusable_calibration(fields: Mapping[str, Any]) -> list[str]:
    """Sentences about a certainty that has no cells to be measured on, and about logits where there are none."""
    problems, energy = [], fields['calibration.unlike'] == 'energy'
    asked = {'calibration.fit': fields['calibration.fit'] == 'validation', 'calibration.unlike': energy}
    problems += [
        f'config.{name} is {fields[name]}, which needs cells that did not train: a validation fold; set '
        'config.split.validation, for example to 0.2 of the training side, in whole groups with a grouped split'
        for name, on in asked.items()
        if on and not fields['split.validation']
    ]
    if fields['calibration.fit'] == 'folds':
        if not fields['split.final_model']:
            problems.append(
                'config.calibration.fit is folds, which calibrates the final model of a cross-validation; set '
                'config.split.final_model and config.split.folds, or config.calibration.fit to validation'
            )
        if fields['ensemble.candidates']:
            problems.append(
                'config.calibration.fit is folds, but an ensemble is calibrated on its inner folds already; set it to '
                'none'
            )
    if energy and fields['baseline.system']:
        problems.append(
            f'config.calibration.unlike is energy, but {fields["baseline.system"]} is a classical system, which has no '
            'logits; set it to mahalanobis or knn'
        )
    return problems


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _parsed(text: str, field: Field | None, old: Any) -> Any:
    """A string of the command line as a value of the type that the field has."""
    if field and field.default is None:
        if text.lower() == 'none':
            return None
        old = field.example
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
