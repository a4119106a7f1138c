"""Centers of cells, a text file for each picture: `x y` a line as in ALL-IDB1's .xyc, or `x y label`.

ALL-IDB1 (Labati et al. 2011) marks its blasts so, and leaves the file of a field without blasts empty or out; `x y` and
a number of the kind of cell is what Chula RBC-12 has. Coordinates are pixels.
"""

from alljax.fields.annotations.annotation_file import (
    AnnotationError,
    AnnotationFile,
    Format,
    Marked,
    data_lines,
    numbers,
    with_centers,
)


def recognize(text: str) -> bool:
    """True where the first line is two numbers, alone or before one word, or where there is none."""
    lines = data_lines(text)
    if not lines:
        return True  # a field without cells
    words = lines[0][1]
    try:
        return len(words) in (2, 3) and max(map(float, words[:2])) > 1
    except ValueError:
        return False


def read(file: AnnotationFile) -> list[Marked]:
    """The centers in the picture that the file is called like; AnnotationError names the line."""
    labels, centers = [], []
    for number, words in data_lines(file.text):
        if len(words) not in (2, 3):
            raise AnnotationError(f'line {number} has {len(words)} words, expected x y, or x y label')
        centers.append(numbers(words[:2], f'line {number}'))
        labels.append(words[2] if len(words) == 3 else '')
    return [with_centers('', labels, centers)]


FORMAT = Format(('.xyc', '.txt'), recognize, read, boxes=False, beside=True)
