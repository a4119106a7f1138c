"""Advice in words: each sentence with its numbers, and only where they say so."""

import shlex
from typing import NamedTuple

from alljax.data.split import LEAVE_ONE
from alljax.errors import some
from alljax.evaluation import intervals
from alljax.runs.advice.features import CELL
from alljax.runs.advice.findings import Advice, BySlide
from alljax.runs.advice.growth import Growth
from alljax.runs.advice.protocol import FEW, VALIDATION, Protocol
from alljax.runs.advice.scores import LEAST, Score

MOST = 12  # names in a sentence
SHARES = ((0.1, 'little'), (0.29, 'a quarter'), (0.42, 'a third'), (0.58, 'half'), (0.71, 'two thirds'),
          (0.9, 'three quarters'))  # fmt: skip
STAIN = '--config.data.stain=white_balance'


class Section(NamedTuple):
    """A part of the advice."""

    title: str
    sentences: list[str]
    commands: list[str]


def sections(advice: Advice) -> list[Section]:
    """The whole advice."""
    return [
        Section('Cells and slides', about_slides(advice), []),
        Section('How well the classes are told apart', about_classes(advice), []),
        Section('How much the pictures say of their slide', about_looks(advice), []),
        Section('White balance', about_white_balance(advice), []),
        Section('How to test', *about_protocol(advice)),
        Section('What to run, and what to expect', *about_recipe(advice)),
    ]


def about_slides(advice: Advice) -> list[str]:
    """Cells and slides of each class, and the classes for which they are too few or tell the class."""
    cells, counts = advice.cells, advice.counts
    said = ['These cells are drawn: nothing below holds for real ones.'] if cells.origin.synthetic else []
    if not advice.slides_known:
        classes = some([f'{count.name} {count.cells}' for count in counts], MOST)
        return [*said, f'{len(cells)} cells of {len(counts)} classes: {classes}.', _unknown(advice)]
    slides = len(set(cells.groups.tolist()))
    classes = some([f'{count.name} {count.cells} on {count.slides}' for count in counts], MOST)
    said.append(f'{len(cells)} cells of {len(counts)} classes on {slides} slides (or patients): {classes}.')
    few = [f'{count.name} ({count.slides})' for count in counts if count.slides < FEW]
    if few:
        said.append(f'Too few slides: {some(few, MOST)}. With fewer than {FEW} the number of a class means little.')
    big = [f'{count.name} ({percent(count.largest)})' for count in counts if count.largest > 0.5 and count.slides > 1]
    if big:
        said.append(f'One slide holds most cells of {some(big, MOST)}: when it is tested, few are left to train.')
    alone = [count.name for count in counts if count.alone]
    if alone:
        whose = 'every class' if len(alone) == len(counts) else some(alone, MOST)
        said.append(f'The slides of {whose} hold no other class: there the light and stain of a slide tell the class.')
    return said


def about_classes(advice: Advice) -> list[str]:
    """Macro recall by file and by slide, and the share of it that is the slide."""
    found = advice.by_slide
    if found is None:
        best = max(advice.scores, key=lambda row: row.by_file.value)
        mixed = 'cells of one slide are, or may be, on both sides, so a new slide will see less'
        return [f'By file {_score(best.by_file)} macro recall ({best.name}; chance {percent(advice.chance)}): {mixed}.']
    best = found.chosen
    said = [
        f'By file (cells of one slide on both sides) {_score(best.by_file)} macro recall, by slide '
        f'{_score(best.by_slide or best.by_file)} ({best.name}; chance {percent(advice.chance)}).'
    ]
    if found.untested:
        said.append(f'Without {some(found.untested, MOST)}: on one slide only, which cannot train and be tested.')
    if found.lost.low > 0:
        share = found.lost.value / max(best.by_file.value - advice.chance, found.lost.value)
        words = next((words for most, words in SHARES if share < most), 'nearly all')
        said.append(f'So {words} of what it knows beyond chance is the slide: by file {_points(found.lost)}.')
    else:
        said.append(f'A new slide is not harder than a known one as far as can be told: by file {_points(found.lost)}.')
    if found.expected.low <= advice.chance:
        said.append('By slide nothing is told beyond chance: these features do not carry over to a new slide.')
    return said


def about_looks(advice: Advice) -> list[str]:
    """The scores at telling the slide within a class, and the class from what is not the cell."""
    said = []
    whole, border = advice.scores[0].slide_told, advice.border_tells_slide
    if advice.slides_known and whole is None:
        said.append(f'No class has two slides of {LEAST} pictures, so how well a slide is told cannot be measured.')
    elif whole:
        edge = f'; from the border alone, where no cell is, {_score(border.score)}' if border else ''
        said.append(
            f'Among the slides of its class, the slide of a cell is told in {_score(whole.score)} from the whole '
            f'picture (mean over slides; chance {percent(whole.chance)}){edge}.'
        )
        if not whole.score.interval:
            said.append('That is of two slides, too few to say whether each slide has a look of its own.')
        elif whole.score.low > whole.chance:
            said.append('So each slide has a look of its own, which a network may learn instead of the cell.')
        else:
            said.append('So slides look alike: their look is no way to be right.')
    told = [row for row in advice.shortcuts if row.says_the_label and row.accuracy is not None and row.interval]
    asked = 'on slides that did not train' if advice.slides_known else 'by file'
    if told:
        names = [f'{row.name} {percent(row.accuracy)} ({percent(row.interval[0])} to {percent(row.interval[1])})'
                 for row in told if row.accuracy is not None and row.interval]  # fmt: skip
        said.append(f'The class is told without the cell, {asked}, from: {some(names)}; chance '
                    f'{percent(told[0].chance)}, 99% intervals.')  # fmt: skip
    else:
        names = [row.name for row in advice.shortcuts]
        said.append(f'The class cannot be told, {asked}, from {" or ".join(names)} alone.')
    return said


def about_white_balance(advice: Advice) -> list[str]:
    """The effect of white balance, on the features of the whole picture."""
    if advice.by_slide is None:
        return ['Without slides its effect on a new slide cannot be told.']
    gain, told = advice.by_slide.white_balance
    if gain.low > 0:
        said = [f'It helps on new slides: {_points(gain)} macro recall of the whole picture. Set {STAIN}.']
    elif gain.high < 0:
        said = [f'It harms on new slides: {_points(gain)} macro recall of the whole picture. Leave it off.']
    else:
        said = [f'On new slides no effect can be told from noise: {_points(gain)} macro recall of the whole picture.']
    return (
        [*said, f'The slide is told in {percent(told[0])} without it and {percent(told[1])} with it.'] if told else said
    )


def about_protocol(advice: Advice) -> tuple[list[str], list[str]]:
    """The split to take, and commands that come before any."""
    root = shlex.quote(advice.cells.origin.root)
    if not advice.slides_known:
        return [_unknown(advice), 'Pictures of one cell can be found without it:'], [f'alljax audit {root}']
    if advice.by_slide is None:
        none = 'Fewer than two classes are on two slides: nothing can be tested on a new slide. Add slides.'
        return [none], []
    asked = advice.by_slide.protocol
    if asked.name == LEAVE_ONE:
        fewest = min(count.slides for count in advice.counts if count.slides > 1)
        said = [f'Leave one slide out at a time ({asked.folds} folds): a class is on {fewest} slides only.']
    else:
        said = [f'Grouped folds: {asked.folds} of whole slides, {asked.repeats} times.']
    if asked.validation:
        said.append(f'Validation can be by slide: --config.split.validation={VALIDATION}.')
    else:
        said.append('Validation by slide is not possible in every fold: leave config.split.validation at 0.')
    if advice.by_slide.untested:
        said.append(f'First add slides of {some(advice.by_slide.untested, MOST)}, or move the class away.')
    return said, []


def about_recipe(advice: Advice) -> tuple[list[str], list[str]]:
    """The number to expect on a new slide, what more slides would bring, and the commands to run next."""
    found = advice.by_slide
    if found is None:
        then = 'With more slides' if advice.slides_known else 'Once slides are named'
        return [f'The number to expect on a new slide cannot be told. {then}, ask again:'], [
            f'alljax advise {shlex.quote(advice.cells.origin.root)}'
        ]
    said = [
        f'On a new slide expect at least about {_score(found.expected)} macro recall: what cheap features reach, '
        f'chosen on inner folds of the training slides (mostly {found.chosen.name}).'
    ]
    name, recall = min(found.recalls.items(), key=lambda item: item[1])
    if recall < found.expected.value - 0.1:
        said.append(f'The weakest class is {name}: {percent(recall)} of its cells are found on new slides.')
    said += about_growth(found.growth)
    said.append('Run next: what wins on inner folds of whole slides; a network; the classical system of these numbers.')
    return said, commands(advice, found)


def about_growth(growth: Growth) -> list[str]:
    """The last doubling of slides and of cells, and the class whose slides bring most."""
    slides, cells = growth.slides, growth.cells
    verdict = {
        (True, True): 'more of both helps',
        (True, False): 'collect slides rather than more cells of the same slides',
        (False, True): 'collect more cells of each slide',
        (False, False): 'neither can be told from noise',
    }[slides.low > 0, cells.low > 0]
    said = [
        f'The last doubling of training slides brought {_points(slides)} macro recall, that of cells of the same '
        f'slides {_points(cells)}: {verdict}.'
    ]
    name, gain = max(growth.of_class.items(), key=lambda item: item[1].value)
    if gain.low > 0:
        said.append(f'Of single classes, slides of {name} brought most: {_points(gain)} by their last doubling.')
    else:
        said.append(f'No single class stands out: most came of slides of {name}, {_points(gain)}, not told from noise.')
    return said


def commands(advice: Advice, found: BySlide) -> list[str]:
    """The commands to run next, each complete."""
    root = f'--config.data.root={shlex.quote(advice.cells.origin.root)}'
    split = _split(found.protocol)
    stain = f' {STAIN}' if found.white_balance.gain.low > 0 else ''
    if advice.cells.origin.name != 'folder':
        config = f'configs/{advice.task}.py'
        first = []
    else:
        config = 'configs/folder.py'
        first = [f'python launch.py --config=configs/new_slide.py {root} {split}']
    run = f'python launch.py --config={config} {root} {split}'
    return [*first, run + stain, f'{run} {STAIN} --config.baseline.system={CELL.__name__}']


def _split(asked: Protocol) -> str:
    if asked.name == LEAVE_ONE:
        return f'--config.split.protocol={LEAVE_ONE}'
    return f'--config.split.folds={asked.folds} --config.split.repeats={asked.repeats}'


def _unknown(advice: Advice) -> str:
    origin = advice.cells.origin
    table = 'cells.csv (file,label,group)' if origin.name == 'folder' else 'groups.csv (file,group)'
    known = 'Only pictures of one cell are known to belong together' if origin.grouping == 'repeats only' else ''
    return f'{known or "No slides are known"}: name the slide of every cell in {table}, else every number leaks.'


def percent(fraction: float | None) -> str:
    """A fraction of 1 in whole percent, or a dash."""
    return '—' if fraction is None else f'{fraction:.0%}'


def _score(score: Score) -> str:
    if not score.interval:
        return percent(score.value)
    if not intervals.of_groups(score.interval):
        return f'{percent(score.value)} (no interval: nothing varies)'
    return f'{percent(score.value)} ({percent(score.interval[0])} to {percent(score.interval[1])})'


def _points(score: Score) -> str:
    bounds = f' ({" to ".join(map(_signed, score.interval))})' if score.interval else ''
    return f'{_signed(score.value)} points{bounds}'


def _signed(fraction: float) -> str:
    """A difference of fractions in whole points."""
    points = round(100 * fraction)
    return f'{points:+d}'.replace('-', '−') if points else '0'
