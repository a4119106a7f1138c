"""The page of a comparison of methods, in one file that loads nothing."""

import math

from alljax.evaluation import formatting
from alljax.explain import calibrated
from alljax.explain.comparison import Comparison
from alljax.explain.methods import METHODS
from alljax.explain.page import fill
from alljax.explain.request import CheckedRequest
from alljax.gradients.method_comparison import MEASURES, MethodScore


def render(request: CheckedRequest, found: Comparison) -> str:
    """The page: the ranks, then each measure of each method, the best of a measure in bold."""
    names = [rank.method for rank in found.ranks]
    table = {(one.measure, one.method): one for one in found.scores}
    measures = list(dict.fromkeys(one.measure for one in found.scores))
    return fill(
        'comparison_page.html.jinja',
        request.run,
        request.name,
        {'short': short, 'title': title},
        found=found,
        names=names,
        measures=[(name, MEASURES[name], [table.get((name, method)) for method in names]) for name in measures],
        best={name: best([one for one in found.scores if one.measure == name]) for name in measures},
        ranking=sum(MEASURES[name].ranks for name in measures),
        notes=request.notes,
        calibrated=calibrated.note(request.run.card.calibration),
    )


def title(method: str) -> str:
    """The name of a method in words."""
    return METHODS[method].title


def best(scores: list[MethodScore]) -> float:
    """The best mean of a measure that ranks; NaN of one that does not."""
    known = [one.mean for one in scores if not math.isnan(one.mean)]
    if not known or not MEASURES[scores[0].measure].ranks:
        return math.nan
    return max(known) if scores[0].higher else min(known)


def short(value: float) -> str:
    """Three digits, or a dash where there is no number."""
    return formatting.MISSING if math.isnan(value) else f'{value:.3g}'
