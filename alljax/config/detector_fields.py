"""The fields of a config that trains a detector of white cells, and the plan that they become.

A run on whole fields has few of the fields of a run on cells, so it has a table of its own: each of these does
something.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.config.field import Field, one_of
from alljax.errors import UserError
from alljax.models import MODELS

DETECTOR_FIELDS: dict[str, Field] = {
    'kind': Field('detector', 'of the run', one_of('detector')),
    'seed': Field(
        0, 'draws the folds, the views of fields, the order of windows, the first weights', low=0, high=2**31 - 1
    ),
    'steps': Field(400, 'of training the head, for each fold and for the last model', low=1, high=10**6),
    'batch_size': Field(8, 'windows a step', low=1, high=10**4),
    'data.root': Field('', 'the folder of the fields and their boxes, as `alljax crops` reads them'),
    'data.labels': Field((), 'labels of boxes that are taken, in any case; () for all but red cells and platelets'),
    'data.format': Field('auto', "of the boxes: 'auto', or pascal_voc, yolo, coco or csv"),
    'data.groups': Field('', "a CSV of field,group, the patient or slide of each field; '' for the field itself"),
    'data.group_pattern': Field('', "in its place, a regular expression for what in a field's name is its slide"),
    'data.cell_pixels': Field(
        0.0,
        'diameter of a white cell in the fields, in pixels; 0 to estimate it from the red cells of each field',
        low=0,
        high=4000,
    ),
    'data.views': Field(8, 'of each field: turned, mirrored, resized, in other light', low=1, high=1000),
    'data.gray': Field(0.5, 'share of the views that lose their color', low=0, high=1),
    'model.name': Field('efficientnet_lite0', 'the network whose first layers are frozen', lambda: MODELS),
    'model.init': Field('imagenet', "'imagenet', 'random', or the path of a run folder or of converted weights"),
    'model.width': Field(32, 'channels of the head that learns', low=4, high=512),
    'optimizer.rate': Field(2e-3, 'of AdamW at the beginning; it falls to zero by a cosine', low=0, high=1),
    'split.folds': Field(
        5, 'that separate no group, by which the detector is scored; at most as many as groups', low=2, high=1000
    ),
}


class DetectorPlan(NamedTuple):
    """All that the run of a detector needs to know before a field is read."""

    fields: dict[str, Any]  # the config by dotted name: what config.json keeps
    root: Path
    labels: tuple[str, ...]
    format: str
    groups: Path | None
    group_pattern: str
    cell_pixels: float
    views: int
    gray: float
    network: str
    init: str
    width: int
    steps: int
    batch_size: int
    rate: float
    folds: int
    seed: int


def defaults() -> ConfigDict:
    """Every field of DETECTOR_FIELDS."""
    return fields.nested({name: field.default for name, field in DETECTOR_FIELDS.items()})


def is_asked(config: ConfigDict | Mapping[str, Any]) -> bool:
    """True for a config that trains a detector."""
    return config.get('kind') == 'detector'


def resolve(config: ConfigDict) -> DetectorPlan:
    """The plan of a config; one UserError for all values that no run could use."""
    given = fields.flat(config)
    problems = [said for name, field in DETECTOR_FIELDS.items() for said in fields.wrong(name, field, given[name])]
    if not given['data.root']:
        problems.append('config.data.root is missing; name the folder of the fields and their boxes')
    if problems:
        raise UserError(*problems)
    paths = {name: Path(given[name]).expanduser().absolute() for name in ('data.root', 'data.groups') if given[name]}
    given |= {name: str(path) for name, path in paths.items()}
    return DetectorPlan(
        fields=given,
        root=paths['data.root'],
        labels=tuple(given['data.labels']),
        format=given['data.format'],
        groups=paths.get('data.groups'),
        group_pattern=given['data.group_pattern'],
        cell_pixels=given['data.cell_pixels'],
        views=given['data.views'],
        gray=given['data.gray'],
        network=given['model.name'],
        init=given['model.init'],
        width=given['model.width'],
        steps=given['steps'],
        batch_size=given['batch_size'],
        rate=given['optimizer.rate'],
        folds=given['split.folds'],
        seed=given['seed'],
    )
