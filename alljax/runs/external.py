"""An external test: a trained model on the cells of another set, beside its own test in results.json and the report."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.config import resolve
from alljax.config.fields import later_fields
from alljax.data import all_idb, datasets, external
from alljax.data.audit.audit_files import PAIR_COLUMNS
from alljax.data.cells import Cells
from alljax.data.datasets.listing import existing_folder
from alljax.data.external import ExternalOptions
from alljax.data.split import SEED_STEP
from alljax.errors import UserError
from alljax.evaluation import formatting, intervals
from alljax.runs import (
    calibration,
    data_check,
    final_model,
    kinds,
    leak_audit,
    likeness,
    prediction_table,
    preparation,
    results,
    run_cells,
)
from alljax.runs.kind import Kind, Trained
from alljax.runs.leak_audit import LeakAudit
from alljax.runs.results import Judged, Results
from alljax.runs.run_cells import RunCells, SecondSet
from alljax.storage import cache, run_folder
from alljax.storage.card import Card
from alljax.storage.text_files import csv_text, write_text

log = logging.getLogger(__name__)

BATCH = 28
PREDICTIONS, PAIRS = 'external_predictions{}.csv', 'external_pairs{}.csv'
EVALUATE_ON = '--evaluate_on'


class ExternalTest(NamedTuple):
    """A second set, ready to be tested."""

    options: ExternalOptions
    second: SecondSet
    audit: LeakAudit

    @property
    def cells(self) -> Cells:
        """The cells that are tested."""
        return self.second.set.cells.take(self.second.test)


def prepared(options: ExternalOptions, found: RunCells) -> ExternalTest | None:
    """The external test of a run's cells, with its leak audit told in the log; None if the run has no second set."""
    if found.second is None:
        return None
    second = found.second
    audit = leak_audit.between(found.sources, found.trained(), second.set.cells, second.test)
    test = ExternalTest(options, second, audit)
    _tell(test)
    return test


def written(test: ExternalTest, kind: Kind, trained: Trained, folder: Path, earlier: list[Results]) -> list[Results]:
    """The external tests of a run with this one, whose table of predictions and of pairs is written into the folder.

    `earlier` are those that it has; one of the same root is replaced.
    """
    roots = [entry['root'] for entry in earlier]
    root = test.second.set.cells.origin.root
    place = roots.index(root) if root in roots else len(roots)
    number = f'-{place + 1}' if place else ''
    predictions, pairs = PREDICTIONS.format(number), PAIRS.format(number)
    cells = test.cells
    said = calibration.told(probabilities_of(kind, trained, cells), trained.card.calibration, cells)
    prediction_table.write(folder / predictions, cells, said.probabilities, said.columns)
    write_text(folder / pairs, csv_text(PAIR_COLUMNS, [(*pair[:-1], int(pair.one_cell)) for pair in test.audit.pairs]))
    entry = about(test, said.probabilities, predictions, pairs)
    if trained.card.likeness:
        images = preparation.of_cells(cells, trained.card.cell_preparation).images
        entry |= likeness.of_external_test(kind, trained, folder, images, BATCH)
    if said.found:
        entry['calibration'] = said.found
    low, high = intervals.quoted(entry['accuracy_ci95'])
    log.info('external test on %s: accuracy %.1f %% (95 %% interval %.1f to %.1f), mean confidence %.1f %%, %d cells%s',
             entry['name'], 100 * entry['accuracy'], 100 * low, 100 * high, 100 * entry['mean_confidence'], entry['n'],
             ' [leaky]' if entry['leaky'] else '')  # fmt: skip
    return [*earlier[:place], entry, *earlier[place + 1 :]]


def probabilities_of(kind: Kind, trained: Trained, cells: Cells) -> Float[np.ndarray, 'cells classes']:
    """The probability of each class for cells that are kept and filtered as the card of the model says.

    A transductive model takes the statistics of these cells, all as one set.
    """
    images = preparation.of_cells(cells, trained.card.cell_preparation).images
    return kind.set_predictor(kind.adapted(trained, images))(images, BATCH)


def about(
    test: ExternalTest, probabilities: Float[np.ndarray, 'cells classes'], predictions: str, pairs: str
) -> Results:
    """An entry of `external` in results.json; `predictions` and `pairs` are names of files beside it."""
    cells, audit, second = test.cells, test.audit, test.second
    joining = second.set.cells.take(second.train)
    scores = results.scores(Judged(cells.labels, probabilities.argmax(1), probabilities, cells.groups), cells.classes)
    adapted = {
        'cells': len(joining),
        'groups': len(set(joining.groups.tolist())),
        'counts': joining.counts(),
        'set_aside': len(second.set.cells)
        - len(joining)
        - len(cells),  # of their groups, so that none is on both sides
    }
    return {
        'name': formatting.set_name(cells.origin.name, cells.origin.root),
        'root': cells.origin.root,
        'read_as': cells.origin.name,
        'synthetic': cells.origin.synthetic,
        'fingerprint': cells.origin.fingerprint,
        'grouping': cells.origin.grouping,
        'groups': len(set(cells.groups.tolist())),
        'counts': cells.counts(),
        'labels': dict(second.set.labels),
        'left_out': dict(second.set.left_out),
        'adapted': adapted if len(joining) else None,
        **scores,
        'ece': scores['calibration_error'],
        'leaky': audit.leaky,
        'leak_audit': {
            'checked': not audit.unchecked,
            'reason': audit.unchecked,
            'pairs': len(audit.pairs),
            'first': leak_audit.first_pairs(audit),
            'file': pairs,
        },
        'predictions': predictions,
    }


def evaluate_on(folder: Path, root: Path, labels: str = '') -> list[Results]:
    """Tests the model of a finished run on another set, and returns the external tests that the run has by then.

    That of a cross-validation's final model stands in its own folder and in that of the cross-validation. The run's own
    cells are asked for the leak audit only: where they are gone, the result says that nothing could be
    checked. `labels` is a CSV file of theirs,ours. UserError for an unfinished run, and for a set that has no class in
    common with it.
    """
    whole, folder = folder, final_model.run_of(folder)
    if not run_folder.is_finished(folder):
        raise UserError(f'{folder}: is not finished; give its command again first, then evaluate it on {root}')
    cache.keep_compiled_programs()
    fields = run_folder.earlier(folder)
    with run_folder.opened(folder, fields):
        kind = kinds.of_model(folder)
        trained = kind.load(folder)
        if trained.card.synthetic:
            log.warning('this model was trained on synthetic cells: what it says of real ones means nothing')
        name, _ = datasets.recognized(existing_folder(root.expanduser(), EVALUATE_ON))
        options = ExternalOptions(str(root.expanduser().absolute()), name, labels)
        earlier = results.externals(results.read(folder))
        test = _of_finished(folder, trained.card, options, earlier)
        _tell(test)
        entries = written(test, kind, trained, folder, earlier)
        place = next(n for n, entry in enumerate(entries) if entry['root'] == test.second.set.cells.origin.root)
        results.rewrite_externals(folder, entries, entries[place]['predictions'])
    if whole != folder and run_folder.is_finished(whole):
        seen = final_model.external_tests(results.read(folder))
        with run_folder.opened(whole, run_folder.earlier(whole)):
            results.rewrite_externals(whole, seen, seen[place]['predictions'])
    return entries


def _of_finished(folder: Path, card: Card, options: ExternalOptions, earlier: list[Results]) -> ExternalTest:
    """The external test of a finished run on a set; cells of it that have trained are left out."""
    form = card.preparation
    second = external.load(options, card.classes, form.size, form.denoise, flag=EVALUATE_ON)
    known = [entry for entry in earlier if entry['fingerprint'] == second.cells.origin.fingerprint]
    adapting = next((entry for entry in known if entry['adapted']), None)
    draw = 0
    if adapting:
        fields = {**later_fields(), **run_folder.earlier(folder)}
        options = options._replace(adapt_cells=fields['test.adapt_cells'], adapt_groups=fields['test.adapt_groups'])
        draw = fields['seed'] + SEED_STEP * max(fields['split.repeat'], 0)
    all_idb.refuse_both(all_idb.SETS.get(results.read(folder)['data'].get('name', ''), ''), second.cells)
    chosen = SecondSet(second, *external.adaptation(second.cells, options, draw))
    try:
        found = run_cells.load(resolve.of_run(folder), test=False)
        data_check.same_data(card.fingerprint, found.cells, folder)
    except UserError as error:
        return ExternalTest(options, chosen, LeakAudit((), f'the training cells cannot be compared: {error}'))
    all_idb.refuse_both(all_idb.which(found.sources), second.cells)
    audit = leak_audit.between(found.sources, found.trained(), second.cells, chosen.test)
    return ExternalTest(options, chosen, audit)


def earlier_tests(folder: Path) -> list[Results]:
    """The external tests of a run that is finished; none for another, or one whose results are damaged."""
    with suppress(UserError):
        return results.externals(results.read(folder)) if run_folder.is_finished(folder) else []
    return []


def _tell(test: ExternalTest) -> None:
    """Says in the log how the two sides were compared and what was found."""
    cells, audit = test.cells, test.audit
    log.info('external test: %d cells of %s', len(cells), cells.origin.root)
    if audit.unchecked:
        log.warning('it could not be checked whether cells of %s have trained: %s', cells.origin.root, audit.unchecked)
    elif audit.pairs:
        log.warning('%d pairs of cells of %s and of the training side show one cell or one field (%s), so the external '
                    'result is marked leaky', len(audit.pairs), cells.origin.root,
                    '; '.join(leak_audit.first_pairs(audit)))  # fmt: skip
