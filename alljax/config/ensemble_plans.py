"""The plans of an ensemble's candidates: each is the run's own config with a few fields changed."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.config.fields import FIELDS
from alljax.config.plan import Candidate, Plan
from alljax.errors import UserError, nearest
from alljax.storage.image_preparation import UNCHANGED

# What all candidates have in common: the cells, who tests, and the ensemble itself.
COMMON = (
    'calibration.', 'data.cells', 'data.denoise', 'data.name', 'data.root', 'data.size', 'data.source', 'data.task',
    'ensemble.', 'report.', 'seed', 'split.', 'test.',
)  # fmt: skip
FORM = "(('a name', {'baseline.system': 'putzu2014', 'data.stain': 'white_balance'}), …)"

Resolve = Callable[[ConfigDict, Collection[str]], Plan]  # a config, and the fields that the user set


def candidates(config: ConfigDict, given: Collection[str], resolve: Resolve) -> tuple[Candidate, ...]:
    """The candidates that a config names, each with its plan; none for a run of one model.

    UserError with the problems of all of them, each beginning with the candidate's name.
    """
    named = _named(config.ensemble.candidates)
    if named and config.split.protocol == 'paper':
        raise UserError(
            'config.split.protocol is paper, which tests turned copies of training cells, and candidates of an '
            'ensemble are chosen on groups that did not train; set it to grouped, or config.ensemble.candidates to ()'
        )
    found, problems = [], []
    for name, changes in named:
        wrong = [*_wrong(changes)]
        if not wrong:
            own = fields.with_fields(config, {**changes, 'ensemble.candidates': ()})
            try:
                found.append(Candidate(name, resolve(own, {*given, *changes})))
            except UserError as error:
                wrong = list(error.problems)
        problems += [f'candidate {name}: {problem}' for problem in wrong]
    if problems:
        raise UserError(*problems)
    return tuple(found)


def of_whole(plan: Plan) -> Plan:
    """The plan of an ensemble without what is each candidate's own: system, preparation and copies of cells."""
    return plan._replace(
        system=None, preparation=UNCHANGED, augmentation=plan.augmentation._replace(copies='fresh'), measuring=()
    )


def _named(value: Any) -> list[tuple[str, Mapping[str, Any]]]:  # Any: the value of a config file, or of its JSON
    """The name and the changed fields of each candidate; UserError for another form."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    try:
        for name, changes in value:
            found.append((name, dict(changes)))
        wrong = not all(isinstance(key, str) for name, changes in found for key in (name, *changes))
    except (TypeError, ValueError):
        wrong = True
    names = [name for name, _ in found]
    if wrong or '' in names:
        raise UserError(f'config.ensemble.candidates is {value!r}; expected {FORM}')
    if len(set(names)) < len(names):
        raise UserError(f'config.ensemble.candidates names {names}; give each candidate a name of its own')
    return found


def _wrong(changes: Mapping[str, Any]) -> list[str]:
    """A sentence for each changed field that there is not, that all candidates share, or of another type."""
    problems = []
    for key, value in changes.items():
        if key not in FIELDS:
            problems.append(f'there is no field {key}{nearest(key, FIELDS)}')
        elif key.startswith(COMMON):
            problems.append(f'{key} is the same for all candidates of an ensemble; set it for the run, as config.{key}')
        else:
            default = FIELDS[key].default
            kinds = (int, float) if isinstance(default, float) else (type(default),)
            if default is not None and type(value) not in kinds:
                problems.append(f'{key} is {value!r}; expected a value such as {default!r}')
    return problems
