"""The numbers that Shafique & Tehsin 2018 print, and whether they follow from its own confusion matrices."""

from collections.abc import Sequence

from alljax.commands import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints Tables 2, 3 and 5 beside what their matrices give."""
    Parser('paper', __doc__, 'alljax paper').parse_args(arguments)
    from alljax.evaluation import paper

    print(f'{paper.SOURCE}: what follows from its confusion matrices')
    print('\n'.join(paper.describe()))
    return 0
