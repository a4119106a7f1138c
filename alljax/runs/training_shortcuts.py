"""The audit's question to the training cells of a run: does their border, or their color, tell the class?"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alljax.config import resolve
from alljax.data.audit.measurements import border_colors
from alljax.data.audit.shortcuts import Shortcut, told_by
from alljax.errors import UserError
from alljax.runs import data_check, final_model, run_cells
from alljax.runs.run_cells import RunCells
from alljax.storage import cache, cached_record, model_folder, run_folder
from alljax.storage.json_records import Json

VERSION = 1  # raise it when the same cells would get other answers


class TrainingShortcuts(NamedTuple):
    """The findings about the training cells of a run, or the reason why nothing could be looked for."""

    found: tuple[Shortcut, ...]
    unchecked: str = ''


def of_run(path: Path, data: Path | None = None) -> TrainingShortcuts:
    """The answers for the run in a folder, or that whose model/ it is; from the user's cache if they are there.

    `data` is the folder of the run's cells, if they were moved. Where these are gone, or the model lies outside its
    run, it says so.
    """
    try:
        folder = final_model.run_of(path)
        card, fields = model_folder.read_card(model_folder.find(path)), run_folder.earlier(folder)
        about = repr((VERSION, card.fingerprint, sorted((name, repr(value)) for name, value in fields.items())))
        kept = cache.folder('shortcuts') / f'{hashlib.sha256(about.encode()).hexdigest()[:32]}.json'
        if known := cached_record.read(kept):
            return TrainingShortcuts(tuple(map(_shortcut, known['found'])))
        cells = run_cells.load(resolve.of_run(folder, data), test=False)
        data_check.same_data(card.fingerprint, cells.cells, folder)
    except UserError as error:
        return TrainingShortcuts((), str(error))
    found = TrainingShortcuts(measured(cells))
    cached_record.write(kept, {'found': [one._asdict() for one in found.found]})
    return found


def measured(cells: RunCells) -> tuple[Shortcut, ...]:
    """The answers for the training and validation cells, as they come: whole groups held out in turn."""
    training = cells.sources.take(cells.trained())
    border, color = [], []
    for image in training.images:
        thinned = image[::2, ::2]  # a quarter of the pixels has the same mean and deviation
        border.append(border_colors(image))
        color.append(np.concatenate([thinned.mean((0, 1)), thinned.std((0, 1))]))
    numbers: Mapping[str, np.ndarray] = {'border': np.stack(border), 'color': np.stack(color)}
    labels = [training.classes[label] for label in training.labels]
    return told_by(numbers, labels, [training.group_names[group] for group in training.groups])


def sentence(one: Shortcut) -> str:
    """An answer in words."""
    whose = 'the border alone (the outer 8 pixels)' if one.name == 'border' else 'the color of the whole picture'
    if one.accuracy is None or one.interval is None:
        return f'Whether {whose} tells the class of the training cells {one.verdict}.'
    low, high = one.interval
    tells = 'tells' if one.says_the_label else 'does not tell'
    return (
        f'On the training cells, {whose} {tells} the class: right in {one.accuracy:.0%} ({low:.0%} to {high:.0%}), by '
        f'chance in {one.chance:.0%}.'
    )


def _shortcut(row: Json) -> Shortcut:
    """An answer as the cache has it."""
    return Shortcut(**{**row, 'interval': row['interval'] and tuple(row['interval'])})
