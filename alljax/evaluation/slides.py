"""The test cells slide by slide: how many are right, what the others are taken for, and a strip of their pictures."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup

from alljax.evaluation import formatting, prediction_rows
from alljax.evaluation.prediction_rows import Rows
from alljax.evaluation.thumbnails import jpeg_uri, thumbnail

Pictures = Mapping[str, UInt8[np.ndarray, 'height width 3']]  # by file

STRIP = 8  # pictures of a slide at most
STRIPS = 100  # slides at most that have pictures; of more, a page takes long to open
KNOWN = 'patient or slide'  # data.grouping where groups are slides, or patients
NO_TABLE = {
    'repeats only': 'Only repeats of one cell are known to belong together, so there is no table of slides. ',
    'unknown': 'It is not known which cells are of one slide, so there is no table of slides. ',
    '': 'This run does not say what its groups are, so there is no table of slides. ',
}


class Slide(NamedTuple):
    """The test cells of one slide, or patient: numbers of cells, which are means over repetitions."""

    name: str
    classes: tuple[str, ...]  # true ones
    cells: int
    right: float
    confused: Mapping[str, float]  # wrong class → cells that are taken for it, most first
    confidence: float | None  # mean probability of the predicted class; None where it is not known

    @property
    def wrong(self) -> float:
        """The number of cells that get a wrong class."""
        return self.cells - self.right


class Thumbnail(NamedTuple):
    """A small picture of a cell."""

    picture: str  # data URI
    right: bool
    prediction: str
    title: str
    confidence: str  # in percent; '' where it is not known


def are_known(results: Mapping[str, Any]) -> bool:
    """True if slides, or patients, are named in the content of a results.json, and its split keeps each together."""
    return not results['split']['leaky'] and results['data'].get('grouping') == KNOWN


def by_slide(rows: Rows) -> list[Slide]:
    """The slides in the rows of a predictions.csv, the one with most errors first."""
    found = prediction_rows.columns(rows)
    members: dict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(found.groups):
        members[group].append(place)
    slides = []
    for group, places in members.items():
        cells = len({found.files[place] for place in places})
        share = cells / len(places)  # of a cell, which has a row in each repetition
        wrong = Counter(found.predictions[place] for place in places if not found.right[place])
        slides.append(
            Slide(
                group,
                tuple(dict.fromkeys(found.labels[place] for place in places)),
                cells,
                share * int(found.right[places].sum()),
                {name: share * count for name, count in wrong.most_common()},
                None if found.confidence is None else float(found.confidence[places].mean()),
            )
        )
    return sorted(slides, key=lambda slide: (-slide.wrong, -slide.cells, slide.name))


def worst(slides: Sequence[Slide]) -> list[Slide]:
    """The fewest slides that make half of the errors or more; none without errors. `slides` are in their order."""
    half = sum(slide.wrong for slide in slides) / 2
    chosen: list[Slide] = []
    for slide in slides:
        if sum(one.wrong for one in chosen) >= half - 1e-9:
            break
        chosen.append(slide)
    return chosen


def counted(cells: float | int) -> str:
    """A number of cells, with a decimal where it is a mean over repetitions."""
    return f'{cells:,.0f}' if abs(cells - round(cells)) < 0.05 else f'{cells:,.1f}'


def section(results: Mapping[str, Any], rows: Rows, pictures: Pictures, template: jinja2.Template) -> Markup:
    """The part of a run's page about slides; where they are not known, a sentence on that.

    `pictures` may lack files; the content of results.json says what the groups are.
    """
    grouping = results['data'].get('grouping', '')
    slides = by_slide(rows) if grouping == KNOWN else []
    shown = {slide.name for slide in slides[:STRIPS]}
    files: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        if row['group'] in shown and row['file'] in pictures:
            files[row['group']].append(row)
    return Markup(
        template.render(
            slides=slides,
            strips={name: strip(its, pictures) for name, its in files.items()},
            worst=len(worst(slides)),
            errors=sum(slide.wrong for slide in slides),
            repeats=prediction_rows.columns(rows).repeats,
            without_strip=max(0, len(slides) - STRIPS),
            leaky=results['split']['leaky'],
            reason=NO_TABLE.get(grouping, NO_TABLE['']),
            counted=counted,
        )
    )


def strip(rows: Rows, pictures: Pictures) -> list[Thumbnail]:
    """The pictures of a slide's cells: wrong ones first, the most confident of either kind first; each cell once."""
    found = prediction_rows.columns(rows)
    sure = found.confidence if found.confidence is not None else np.zeros(len(rows))
    chosen: dict[str, int] = {}
    for place in sorted(range(len(rows)), key=lambda place: (bool(found.right[place]), -sure[place])):
        chosen.setdefault(found.files[place], place)
    return [
        Thumbnail(
            jpeg_uri(thumbnail(pictures[file])),
            bool(found.right[place]),
            found.predictions[place],
            f'{file}: {found.labels[place]} → {found.predictions[place]}'
            + (f', {formatting.probability(float(sure[place]))}' if found.confidence is not None else ''),
            f'{sure[place]:.0%}' if found.confidence is not None else '',
        )
        for file, place in list(chosen.items())[:STRIP]
    ]
