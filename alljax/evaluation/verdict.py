"""The verdict on a run in words, made of its numbers: what was found, what it is worth, and what to do next."""

import re

import jinja2
from markupsafe import Markup

from alljax.evaluation.prediction_rows import Rows
from alljax.evaluation.verdict_certainty import REFUSED
from alljax.evaluation.verdict_facts import Results, Sentence, facts
from alljax.evaluation.verdict_findings import FINDINGS
from alljax.evaluation.verdict_next_steps import next_steps

MARKS = {'good': ('✓', 'Good'), 'plain': ('•', 'Result'), 'warn': ('!', 'Caution'), 'bad': ('✗', 'Problem')}
SHOWN, ADVICE = 6, 2  # sentences on a terminal


def sentences(results: Results, rows: Rows) -> list[Sentence]:
    """The verdict on the content of a results.json and the rows of its predictions.csv, the most important first.

    Both may be of a single run or of a cross-validation, whose `test` and rows are those of all folds and repetitions.
    Advice, of the tone 'next', comes last. KeyError where a part is missing that every release writes.
    """
    known = facts(results, rows)
    return [*(found for finding in FINDINGS if (found := finding(known))), *next_steps(known)]


def shortest(found: list[Sentence]) -> list[Sentence]:
    """The sentences that a terminal has room for: the most important findings and steps, and what was refused."""
    steps = [one for one in found if one.tone == 'next']
    rest = [one for one in found if one.tone != 'next']
    return [*rest[:SHOWN], *(one for one in rest[SHOWN:] if one.kind in REFUSED), *steps[:ADVICE]]


def lines(found: list[Sentence]) -> list[str]:
    """The verdict as lines of a terminal; advice is marked as such."""
    return [f'{"next: " * (one.tone == "next")}{one.text}' for one in shortest(found)]


def section(results: Results, rows: Rows, template: jinja2.Template) -> Markup:
    """The part of a run's page with all sentences."""
    found = sentences(results, rows)
    return Markup(
        template.render(
            findings=[(one, *MARKS[one.tone]) for one in found if one.tone != 'next'],
            steps=[_for_page(one.text) for one in found if one.tone == 'next'],
        )
    )


def _for_page(text: str) -> Markup:
    """A step for the page that it speaks of: a link in the place of the page's name."""
    return _with_code(text).replace('in report.html', Markup('in the <a href="#slides">table of slides</a>'))


def _with_code(text: str) -> Markup:
    """A text for a page, with what is to be typed set apart; all in it is escaped."""
    parts = re.split(r'(`[^`]+`|--config\S*[^\s.,;]|configs/\S*[^\s.,;])', text)
    return Markup().join(
        Markup('<code>{}</code>').format(part.strip('`')) if number % 2 else part for number, part in enumerate(parts)
    )
