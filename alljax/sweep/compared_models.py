"""The model of each variant of a sweep, where its runs are reported, and the slides that its errors are on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from alljax.data.split import BY_GROUP
from alljax.evaluation import verdict_facts, verdict_findings
from alljax.evaluation.compared_model import ComparedModel
from alljax.runs import model_card, results
from alljax.storage.run_folder import is_finished
from alljax.sweep.variants import Run

REPORT = 'report.html'


def by_variant(folder: Path, runs: Sequence[Run]) -> Mapping[str, ComparedModel]:
    """The model and the reports of each variant with a finished run in the folder of a sweep."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        if is_finished(folder / run.folder):
            found.setdefault(run.variant.name, []).append(run)
    return {variant: _compared(folder, its) for variant, its in found.items()}


def _compared(folder: Path, runs: Sequence[Run]) -> ComparedModel:
    model = results.read(folder / runs[0].folder).get('model')
    together = [REPORT, *(f'{Path(run.folder).parent.as_posix()}/{REPORT}' for run in runs)] if len(runs) > 1 else []
    several = dict.fromkeys(together, 'all folds')
    single = {f'{run.folder}/{REPORT}': str(run).removeprefix(f'{run.variant.name}, ') for run in runs}
    pages = {address: title for address, title in {**several, **single}.items() if (folder / address).is_file()}
    return ComparedModel(model_card.name(model) if model else '', pages, _worst(folder, runs))


def _worst(folder: Path, runs: Sequence[Run]) -> str:
    """The slides that make half of the errors under the split that keeps slides together; '' if that says nothing."""
    grouped = [run for run in runs if run.protocol in BY_GROUP]
    if not grouped:
        return ''
    rows = [row for run in grouped for row in results.predictions(folder / run.folder)]
    known = verdict_facts.facts(results.read(folder / grouped[0].folder), rows)
    said = verdict_findings.worst_slides(known)
    return said.text if said else ''
