"""MODEL_CARD.md of a run folder: what the model is and is for, how it was tested, and how far to trust it.

Its sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as Hugging Face's cards have them.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from alljax.data.datasets import DATASETS
from alljax.errors import printable
from alljax.evaluation import calibration_table, formatting, intervals, page_template, recall_intervals, slides, verdict
from alljax.evaluation.formatting import interval, percent
from alljax.evaluation.prediction_rows import Rows
from alljax.storage.text_files import write_text

FILE = 'MODEL_CARD.md'
WORST = 5  # slides that are shown
Results = Mapping[str, Any]  # the content of results.json, or a part of it


def write(folder: Path, results: Results, rows: Rows) -> None:
    """Writes MODEL_CARD.md into a run folder, whole or not at all.

    `results` is the content of its results.json, `rows` that of its predictions.csv, of a single run or of a
    cross-validation. All from outside is escaped. KeyError where a part is missing that every release writes.
    """
    write_text(folder / FILE, text(results, rows, folder.resolve().name))


def text(results: Results, rows: Rows, run: str) -> str:
    """The content of MODEL_CARD.md; `run` is the name of the run folder."""
    data, split, test = results['data'], results['split'], results['test']
    grouping = data.get('grouping', '')
    said = verdict.sentences(results, rows)
    interval_kind, recall_bounds = recall_intervals.in_words(results, rows)
    known, folds = results.get('calibration', {}), results.get('cross_validation', {})
    known_set = DATASETS.get(data['name'])
    return _template().render(
        model=name(results['model']),
        data_name=formatting.set_name(data['name'], data.get('root', '')),
        results=results,
        facts={formatting.label(key): formatting.value(value, key) for key, value in results['model'].items()
               if key not in ('name', 'parts', 'init', 'network', 'members')},
        members=[f'{one["model"]} ({percent(one["weight"])})' for one in results['model'].get('members', [])],
        weights=results.get('weights', []),
        finished=formatting.timestamp(results.get('finished', '')),
        scores=_scores(test),
        first=said[0].text,
        limits=[one.text for one in said[1:] if one.tone in ('bad', 'warn')],
        source=known_set.source.note() if known_set and known_set.source else '',
        grouping=formatting.GROUPINGS.get(grouping, 'of which the run says nothing'),
        doubtful='' if split['leaky'] else formatting.DOUBTFUL.get(grouping, ''),
        sides={side: split.get(f'{side}_counts', {}) for side in ('train', 'validation', 'test')},
        interval_kind=interval_kind,
        per_class=_per_class(test, recall_bounds),
        external=[_external(one) for one in _listed(results.get('external', []))],
        certainty=calibration_table.lines(known, test['n']) if 'test' in known else [],
        error=percent(test.get('calibration_error'), test['n']),
        worst=[_slide(one) for one in slides.by_slide(rows)[:WORST] if one.wrong] if grouping == slides.KNOWN else [],
        command=_code(results.get('command', '')),
        use=_code(f'alljax predict {shlex.quote(_with_model(run, folds))} image.tif folder/ --csv out.csv --top 2'),
    )  # fmt: skip


@cache  # compiled once for all runs of a sweep
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        finalize=_escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    return environment.from_string(page_template.text('model_card.md.jinja', 'alljax.runs'))


def _with_model(run: str, folds: Results) -> str:
    """The folder whose model predicts: of a cross-validation without a final model that of its first fold."""
    return run if not folds or folds['final'] else f'{run}/{folds["folds"][0]["folder"]}'


def name(model: Results) -> str:
    """The name of a model in results.json; of a classical system also its parts and its network."""
    parts = [part for part in (model.get('parts'), model.get('network')) if part]
    return f'{model.get("name", "a model")} ({"; ".join(parts)})' if parts else str(model.get('name', 'a model'))


def _escaped(value: Any) -> Any:  # of any type
    return value if isinstance(value, Markup | jinja2.Undefined) else formatting.markdown(str(value))


def _code(command: str) -> Markup:
    """Lines that Markdown shows letter by letter; what would steer a terminal is escaped."""
    command = printable(command)
    fence = '`' * max(3, 1 + max(map(len, re.findall('`+', command)), default=0))
    return Markup(f'{fence}text\n{command or "(not known)"}\n{fence}')


def _scores(test: Results) -> list[tuple[str, str, str]]:
    """Name, value and interval of what is quoted of a test."""
    shown = {'accuracy': 'Accuracy', 'macro_recall': 'Macro sensitivity', 'macro_precision': 'Macro precision'}
    rows = []
    for key, title in shown.items():
        bounds = test.get(f'{key}_ci95')
        bounds = intervals.of_groups(bounds['bootstrap_groups'] if isinstance(bounds, Mapping) else bounds)
        told = f'95% interval over groups {interval(bounds, test["n"])}' if bounds else 'no interval over groups'
        rows.append((title, percent(test[key], test['n']), told))
    return rows


def _per_class(test: Results, bounds: Mapping[str, str]) -> list[tuple[str, str, str, str, str]]:
    """Name, test cells, sensitivity, its interval and precision of each class."""
    matrix = np.array(test['confusion']['matrix'])
    rows = []
    for place, (known, row) in enumerate(test['per_class'].items()):
        n = int(matrix[place].sum())
        recall, precision = (percent(row[key], test['n']) for key in ('recall', 'precision'))
        rows.append((known, f'{n:,}', recall, bounds[known], precision))
    return rows


def _listed(found: Results | Sequence[Results]) -> list[Results]:
    return [found] if isinstance(found, Mapping) else list(found)


def _external(test: Results) -> dict[str, Any]:
    quoted = interval(intervals.quoted(test['accuracy_ci95']), test['n'])
    return {
        'name': test['name'], 'n': f'{test["n"]:,}', 'accuracy': percent(test['accuracy'], test['n']),
        'interval': quoted, 'leaky': test['leaky'],
    }  # fmt: skip


def _slide(one: slides.Slide) -> tuple[str, str, int, str, str]:
    taken = ', '.join(f'{name} {slides.counted(count)}' for name, count in one.confused.items())
    return one.name, ', '.join(one.classes), one.cells, slides.counted(one.right), taken
