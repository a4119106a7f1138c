"""White cells found in whole fields against the cells that people marked; prints the tables of RESULTS.md.

    python tests/benchmarks/fields.py FOLDER… [--pictures OUT]

FOLDER holds fields and their annotations, in any format that `alljax crops` reads. The rows 'even' and 'odd' are
the halves of the fields by their sorted names: numbers are chosen on the even ones. --pictures writes each field with
a miss or a false alarm, marked boxes green and found ones red.
"""

import argparse
import platform
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image, ImageDraw

from alljax.data.picture import ImageError
from alljax.fields import annotations, field_image, matching, tiles

HEADS = ('field', 'fields', 'marked', 'found', 'criterion', 'precision', 'recall', 'F1', 'count error', 'AP')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs='+', type=Path)
    parser.add_argument('--pictures', type=Path)
    args = parser.parse_args()
    print(f'{platform.processor() or platform.machine()}, one process')
    print('| ' + ' | '.join(HEADS) + ' |\n' + '|---' * len(HEADS) + '|')
    seconds = []
    for folder in args.folders:
        read = annotations.read(folder)
        rows = []
        for marks in sorted(read.marks, key=lambda marks: marks.field):
            started = time.process_time()
            try:
                field = field_image.open_field(folder / marks.field)
                cells = tiles.find(field)
            except ImageError as error:
                print(f'{marks.field}: {error}', file=sys.stderr)
                continue
            seconds.append(time.process_time() - started)
            by_center = matching.by_centers(cells.found, marks.centers, cells.scale.cell_pixels)
            by_box = matching.by_boxes(cells.found, marks) if marks.boxes is not None else None
            rows.append((marks.field, by_center, by_box))
            worst = by_box or by_center
            if args.pictures and (not worst.hits.all() or worst.hits.sum() < worst.marked):
                save(args.pictures / f'{Path(marks.field).stem}.png', field, marks, cells)
        for half, chosen in (('even', rows[::2]), ('odd', rows[1::2]), ('all', rows)):
            report(f'{folder.name}, {half}', chosen)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f'\n{np.median(seconds):.1f} s of processor time a field (median), {max(seconds):.1f} at most; {peak:.2f} GiB'
    )


def report(name: str, rows: list) -> None:
    names = [row[0] for row in rows]
    for criterion, place in (('half a cell', 1), ('IoU 0.5', 2)):
        fields = [row[place] for row in rows]
        if any(field is None for field in fields) or not fields:
            continue
        values = matching.measures(fields)
        bounds = matching.intervals(fields, names, np.random.default_rng(0))
        said = [with_interval(*each) for each in zip(values, *bounds, strict=True)]
        counts = [len(fields), sum(field.marked for field in fields), sum(len(field.hits) for field in fields)]
        print('| ' + ' | '.join([name, *map(str, counts), criterion, *said]) + ' |')


def with_interval(value: float, low: float, high: float) -> str:
    return f'{value:.3f}' + ('' if np.isnan(low) else f' ({low:.3f} to {high:.3f})')


def save(path: Path, field: field_image.FieldImage, marks, cells: tiles.FieldCells) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(field.window(0, 0, field.width, field.height))
    pen = ImageDraw.Draw(picture)
    for boxes, color in ((marks.boxes, 'green'), (cells.found.boxes, 'red')):
        for left, top, width, height in boxes if boxes is not None else ():
            pen.rectangle([left, top, left + width, top + height], outline=color, width=3)
    picture.save(path)


if __name__ == '__main__':
    main()
