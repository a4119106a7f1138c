r"""More cells or more slides? The score against the number of training slides and of training cells, by slide.

    python launch.py --config=configs/learning_curve.py --config.data.root=/path/to/my/cells
    python launch.py --config=configs/learning_curve.py --config.data.root=/path/to/my/cells \
        --config.baseline.system=putzu2014 --config.slides="(1, 2, 4)" --config.cells="(5, 10, 20, 40)"

Every size is a repeated cross-validation by group; a larger training side holds the smaller ones. learning_curve.png,
in table.html too, shows both curves with the band of the repetitions, and the first note below the table says which of
the two is needed. Slides have to be named (cells.csv or groups.csv).
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, Variant
from configs import folder


def get_config() -> ConfigDict:
    """A frozen network with a new head, five folds by group, three repetitions."""
    config = folder.get_config()
    config.model.freeze = '(?!head/).*'  # features are computed once for all sizes
    config.augment.copies = 'published'
    config.data.equalize = 'oversample'
    config.split.folds, config.split.repeats, config.split.draw = 5, 3, 'shuffled'
    config.slides = (1, 2, 3, 4)  # at most this many slides (groups) of each class
    config.cells = (5, 10, 20, 40)  # at most this many cells of each class
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row for each number of slides, for each number of cells, and for all of them."""
    slides = [
        Variant(f'{count} slide{"s" if count > 1 else ""} a class', {'split.train_groups': count})
        for count in config.slides
    ]
    cells = [Variant(f'{count} cells a class', {'split.train_cells': count}) for count in config.cells]
    return Sweep('Learning curve', (*slides, *cells, Variant('all slides and cells', {})), ('grouped',))
