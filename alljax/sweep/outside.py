"""The external tests of a sweep: every variant on the same cells of a second set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.runs import results
from alljax.runs.results import Results
from alljax.sweep import pooled
from alljax.sweep.pooled import Rows
from alljax.sweep.variants import Run

Key = tuple[str, str]  # variant, protocol


class Outside(NamedTuple):
    """A second set on which all variants were tested."""

    name: str
    tables: Mapping[Key, Sequence[Rows]]  # of each run the lines of the cells that every variant tested
    classes: tuple[str, ...]
    leaky: bool
    common: bool  # True if some variant tested further cells, which are left out here

    def numbers(self, several: bool) -> dict[str, Results | str]:
        """Every measure of each variant, by its name, and by the protocol's where there are several."""
        return {
            f'{variant}, {protocol}' if several else variant: pooled.scores(rows, self.classes)
            for (variant, protocol), rows in self.tables.items()
        }

    def note(self) -> str:
        """A sentence on what the columns of this set are."""
        cells = len({row['file'] for tables in self.tables.values() for rows in tables for row in rows})
        only = ', those that every variant tested and none trained on' if self.common else ''
        return f'Outside: {cells:,} cells of {self.name}{only}, by the same trained models.'


def read(folder: Path, runs: Mapping[Key, Sequence[Run]]) -> Outside | None:
    """The second set that all finished variants have been tested on, the first of them; None if there is none.

    In one repetition all variants are compared on the cells that each of them tested: where some of the cells train,
    others have fewer to test.
    """
    entries: dict[Key, list[Results]] = {}
    for key, its in runs.items():
        found = [results.externals(results.read(folder / run.folder)) for run in its]
        if not its or not all(found):
            return None
        entries[key] = [tests[0] for tests in found]
    every = [entry for tests in entries.values() for entry in tests]
    if not every or len({(entry['root'], *entry['per_class']) for entry in every}) > 1:
        return None
    tables = {
        key: [
            results.external_predictions(folder / run.folder, entry)
            for run, entry in zip(runs[key], tests, strict=True)
        ]
        for key, tests in entries.items()
    }
    shared: dict[int, set[str]] = {}
    for key, its in runs.items():
        for run, rows in zip(its, tables[key], strict=True):
            files = {row['file'] for row in rows}
            shared[run.repeat] = shared.get(run.repeat, files) & files
    kept = {
        key: [
            [row for row in rows if row['file'] in shared[run.repeat]]
            for run, rows in zip(its, tables[key], strict=True)
        ]
        for key, its in runs.items()
    }
    return Outside(
        every[0]['name'],
        kept,
        tuple(every[0]['per_class']),
        any(entry['leaky'] for entry in every),
        kept != tables,
    )
