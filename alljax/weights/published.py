"""The weights that others have published, with their addresses, hashes and licenses."""

import csv
from importlib.resources import files
from typing import NamedTuple

from alljax.errors import UserError, nearest, some

CONVOLUTIONS = 'convolutions'  # the name of weights without dense layers


class Published(NamedTuple):
    """A line of published.csv."""

    network: str
    weights: str
    address: str  # http(s)://…, or package:path for a file that an installed package holds
    hash: str  # 'sha256:' or 'sha1:' and its first digits
    parameters: int  # of the network here, with its last layers; of the convolutions alone where there are no others
    megabytes: float  # MiB of the file
    size: int  # pixels a side of the images that it was published for
    resize: int  # and of the shorter side of a photograph, before the center crop
    interpolation: str  # of that resize
    license: str

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.address.rpartition('/')[2]

    @property
    def packaged(self) -> bool:
        """True if an installed package holds the file."""
        return self.address.startswith('package:')

    @property
    def name(self) -> str:
        """Network and weights: 'resnet50-IMAGENET1K_V2'."""
        return f'{self.network}-{self.weights}'


def all_published() -> list[Published]:
    """All published weights; of several for one network, the recommended ones first."""
    with files('alljax.weights').joinpath('published.csv').open(encoding='utf-8') as file:
        return [_published(row) for row in csv.DictReader(file)]


def _published(row: dict[str, str]) -> Published:
    numbers = {'parameters': int, 'megabytes': float, 'size': int, 'resize': int}
    return Published(**{name: numbers.get(name, str)(text) for name, text in row.items()})


def find(name: str, weights: str = '') -> Published:
    """The recommended weights of a network, or those of that name; UserError if there are none."""
    published = all_published()
    rows = [row for row in published if row.network == name]
    if not rows:
        known = dict.fromkeys(row.network for row in published)
        raise UserError(
            f'{name}: no published weights are known{nearest(name, known)}; alljax weights --list shows '
            'those that are, and --file converts a file of your own'
        )
    chosen = [row for row in rows if weights in ('', row.weights)]
    if not chosen:
        raise UserError(f'{name} has no weights {weights!r}; it has {some([row.weights for row in rows])}')
    return chosen[0]


def imagenet_classes() -> tuple[str, ...]:
    """ImageNet's 1000 classes in the order of the logits."""
    return tuple(files('alljax.weights').joinpath('imagenet_classes.txt').read_text(encoding='utf-8').splitlines())
