"""The variants of a config file's `sweep()`, and the list of runs that they make."""

import inspect
import re
import runpy
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.data.split import GIVEN, LEAVE_ONE
from alljax.errors import UserError, some
from alljax.storage.run_folder import FINAL

Fields = Mapping[str, Any]
NOTHING: Fields = MappingProxyType({})
# Fields about the final model alone: a finished cross-validation stays the same run when they change.
OF_FINAL_MODEL = ('split.final_model', 'calibration.fit')
PAPER_TASKS = ('subtype', 'detection')


class Variant(NamedTuple):
    """The config with a few fields changed: a row of the table."""

    name: str  # 'HSV, subtype'
    fields: Fields  # 'data.color' -> 'HSV'
    printed: Fields = NOTHING  # measure -> the paper's number, a fraction of 1 or None; these measures are shown
    against: str = ''  # the name of the variant that this one is compared with
    confusion: str = ''  # the paper's confusion matrix to show beside: 'detection' or 'subtype'


class Sweep(NamedTuple):
    """The variants and protocols that a config file's `sweep(config)` returns."""

    title: str
    variants: Sequence[Variant]
    protocols: Sequence[str] = ('paper', 'grouped')
    source: str = ''  # whose numbers are printed
    notes: Sequence[str] = ()  # below the table
    declared: bool = True  # by a config file, and not the folds of a plain config


class Run(NamedTuple):
    """One run of a sweep."""

    variant: Variant
    protocol: str
    repeat: int
    fold: int
    fields: Fields  # all that differs from the config
    folder: str  # below the sweep's

    @property
    def final(self) -> bool:
        """True for the model of a cross-validation that trains on all cells and is not tested."""
        return self.folder == FINAL

    def __str__(self) -> str:
        if self.final:
            return f'{self.variant.name}, final model on all cells'
        suffix = self.folder.rpartition(self.protocol)[2].removeprefix('-')
        counted = {'repetition': self.repeat} if 'repeat-' in suffix else {}
        counted |= {'fold': self.fold} if 'fold-' in suffix else {}
        words = ', '.join(f'{name} {number + 1}' for name, number in counted.items())
        return f'{self.variant.name}, {self.protocol}' + (f' {words} ({suffix})' if words else '')


def load_sweep(config_file: str | Path, config: ConfigDict, given: Collection[str] = ()) -> Sweep:
    """The `sweep()` of a config file, else the config alone; UserError if it varies a field that the user set."""
    make = runpy.run_path(str(config_file)).get('sweep')
    if make is None:
        alone = Variant(Path(config_file).stem, NOTHING)
        return Sweep(Path(config_file).stem, (alone,), (config.split.protocol,), declared=False)
    sweep = make(config) if inspect.signature(make).parameters else make()
    if not isinstance(sweep, Sweep) or not sweep.variants or not sweep.protocols:
        raise UserError(
            f'{config_file}: sweep() has to return alljax.sweep.Sweep with at least one variant and one protocol; '
            f'found {type(sweep).__name__}{"" if not isinstance(sweep, Sweep) else " without variants or protocols"}'
        )
    known = fields.flat(config)
    varied = {*(key for variant in sweep.variants for key in variant.fields), 'split.protocol'}
    problems = [
        f'--config.{key}: is varied by sweep() in {config_file}; leave it out, or change it there'
        for key in sorted(varied & set(given))
    ]
    problems += [
        f'{config_file}: sweep() sets {key}, which is no field of the config' for key in sorted(varied - set(known))
    ]
    names = [variant.name for variant in sweep.variants]
    problems += [
        f'{config_file}: sweep() has two variants named {name!r}' for name in {n for n in names if names.count(n) > 1}
    ]
    problems += [
        f'{config_file}: variant {variant.name!r} is compared with {variant.against!r}, but there are {some(names)}'
        for variant in sweep.variants
        if variant.against and variant.against not in names
    ]
    if problems:
        raise UserError(*problems)
    return sweep


def list_runs(sweep: Sweep, config: ConfigDict, groups: Callable[[ConfigDict], int] = lambda _: 0) -> list[Run]:
    """Every variant, protocol, repetition and fold, variant by variant; last the final model, if there is to be one.

    `groups` gives the number of groups in the cells of a config: the folds of leave_one_group_out. UserError for a
    final model where several variants or protocols are compared.
    """

    def all_folds(values: ConfigDict) -> list[dict[str, int]]:
        return folds(values, groups(values) if values.split.protocol == LEAVE_ONE else 0)

    if not sweep.declared and len(all_folds(config)) == 1:
        return [Run(sweep.variants[0], config.split.protocol, 0, 0, NOTHING, '')]
    own = _of_fold(config)
    found = []
    for variant in sweep.variants:
        for protocol in sweep.protocols:
            values = fields.with_fields(config, {**variant.fields, 'split.protocol': protocol})
            if sweep.declared:
                _refuse_final_model(values)
            found += [
                Run(
                    variant,
                    protocol,
                    fold['split.repeat'],
                    fold['split.fold'],
                    {**variant.fields, 'split.protocol': protocol, **fold, **own},
                    f'{_slug(variant.name)}/{protocol}{_number(values, fold)}',
                )
                for fold in all_folds(values)
            ]
    if config.split.final_model:
        every = {'split.all_cells': True, 'split.folds': 1, 'split.fold': 0, 'split.repeats': 1, 'split.repeat': 0}
        protocol = config.split.protocol
        found.append(Run(sweep.variants[0], protocol, 0, -1, {'split.protocol': protocol, **every, **own}, FINAL))
    return found


def _of_fold(config: ConfigDict) -> Fields:
    """The fields by which the runs of a cross-validation with a final model are those of one without."""
    if not config.split.final_model:
        return NOTHING
    uncalibrated = {'calibration.fit': 'none'} if config.calibration.fit == 'folds' else NOTHING
    return {'split.final_model': False, **uncalibrated}


def _refuse_final_model(config: ConfigDict) -> None:
    for name in ('all_cells', 'final_model'):
        if config.split[name]:
            raise UserError(
                f'config.split.{name} is of one model, and this config file compares several by its sweep(); leave it '
                'out, or name a config file without sweep()'
            )


def across(
    field: str,
    values: Sequence[Any],
    *,
    config: ConfigDict | None = None,
    printed: Mapping[str, Sequence[float]] = NOTHING,
) -> list[Variant]:
    """A variant for each value of a field, each compared with the first.

    With a `config` about one of the paper's tasks, for each of these; `printed` holds the
    paper's macro precision for each value by task.
    """
    both = config is not None and config.data.task in PAPER_TASKS
    variants = []
    for task in PAPER_TASKS if both else ('',):
        name = f'{{}}, {task}' if task else '{}'
        for place, value in enumerate(values):
            number = printed[task][place] if task in printed else None
            variants.append(
                Variant(
                    name.format(value),
                    {field: value, 'data.task': task} if task else {field: value},
                    {'macro_precision': number, 'accuracy': None},
                    name.format(values[0]) if place else '',
                )
            )
    return variants


def folds(config: ConfigDict, groups: int = 0) -> list[dict[str, int]]:
    """The `split` fields of each fold of each repetition that the config asks for.

    Of leave_one_group_out the folds are the `groups`; where all cells train, or the sides are given, there is one.
    """
    split = config.split
    if split.all_cells or split.protocol == GIVEN:
        return [{'split.repeat': 0, 'split.fold': 0}]
    repeats = range(split.repeats) if split.repeat < 0 else (split.repeat,)
    count = groups if split.protocol == LEAVE_ONE else split.folds
    tested = range(count) if split.fold < 0 else (split.fold,)
    return [{'split.repeat': repeat, 'split.fold': fold} for repeat, fold in product(repeats, tested)]


def _number(config: ConfigDict, fold: Mapping[str, int]) -> str:
    if config.split.protocol == GIVEN:
        return ''
    repeat = f'-repeat-{fold["split.repeat"]}' if config.split.repeats > 1 else ''
    several = config.split.folds > 1 or config.split.protocol == LEAVE_ONE
    return repeat + (f'-fold-{fold["split.fold"]}' if several else '')


def _slug(name: str) -> str:
    return re.sub(r'[^\w.+]+', '-', name).strip('-')
