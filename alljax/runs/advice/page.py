"""advice.html: the sentences of an advice with their figures, in one file that loads nothing."""

from pathlib import Path

from markupsafe import Markup

from alljax.evaluation import page_template, report
from alljax.runs.advice import figures, sentences
from alljax.runs.advice.findings import Advice
from alljax.storage.text_files import write_text

PAGE = 'advice.html'


def write(advice: Advice, folder: Path) -> Path:
    """Writes the page into a folder, which is made if absent; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PAGE, render(advice))
    return folder / PAGE


def render(advice: Advice) -> str:
    """The page."""
    curves = figures.curves(advice)
    return page_template.load('advice.html.jinja', 'alljax.runs.advice').render(
        advice=advice,
        name=Path(advice.cells.origin.root).name,
        sections=sentences.sections(advice),
        percent=sentences.percent,
        recalls=advice.by_slide.recalls if advice.by_slide else {},
        comparison=report.data_uri(figures.comparison(advice)),
        curves=report.data_uri(curves) if curves else '',
        css=Markup(page_template.text('report.css')),
    )
