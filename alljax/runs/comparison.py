"""Two finished runs on the same test cells."""

import logging
from pathlib import Path

from alljax.errors import UserError
from alljax.evaluation import paired_tests
from alljax.evaluation.formatting import percent
from alljax.runs import results
from alljax.storage import run_folder

log = logging.getLogger(__name__)


def compared(first: Path, second: Path) -> list[str]:
    """The accuracy of both runs, and which of them was right when, in words; UserError for other test cells."""
    for place in (first, second):
        repeats = results.read(place).get(run_folder.CROSS_VALIDATION, {}).get('repeats', 1)
        if repeats > 1:
            log.warning('%s: of its %d repetitions the first is compared, which tests each cell once', place, repeats)
    names = [results.read(run)['model']['name'] for run in (first, second)]
    correct = [results.correct_by_file(run) for run in (first, second)]
    found = paired_tests.mcnemar_by_file(*correct)
    if found is None:
        raise UserError(f'{first} and {second}: were tested on other cells, so they cannot be compared')
    count = len(correct[0])
    shares = [f'{name} {percent(sum(its.values()) / count, count)}' for name, its in zip(names, correct, strict=True)]
    alone = [f'only {name} right: {its}' for name, its in zip(names, found[:2], strict=True)]
    return [f'{", ".join(shares)} of {count} cells', f'{", ".join(alone)}; McNemar p = {found.p:.2g}']
