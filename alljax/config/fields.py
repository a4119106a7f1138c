"""Every field of a run: its default, its meaning with unit and source, and the values that it may have.

A config file calls `alljax.config.defaults()` and changes a few. On the command line `--config.a.b=value` changes one,
and wins over everything here. [paper] is Shafique & Tehsin 2018; [MATLAB] is a default of MATLAB's trainingOptions or
of its AlexNet transfer example, which stands in where the paper is silent.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from alljax.baselines import cell_masks
from alljax.baselines.classify import CLASSIFIERS
from alljax.baselines.features import FEATURES, NETWORK
from alljax.baselines.preprocess import PREPROCESS
from alljax.baselines.segment import SEGMENTS
from alljax.baselines.systems import STANDARDIZE, SYSTEMS, WHOLE
from alljax.data import cell_region, color, denoise, stain
from alljax.models import MODELS
from alljax.models.batch_statistics import STATISTICS


class Field(NamedTuple):
    """A field of a config. None is allowed where the default is None: the field then has the type of `example`."""

    default: Any
    about: str
    choices: Callable[[], Iterable[str]] | None = None  # asked when needed: a config file may add networks or data sets
    several: bool = False  # a tuple of choices, in an order
    not_empty: bool = False  # of them one at least
    low: float | None = None  # smallest and largest value, both allowed
    high: float = float('inf')
    example: Any = None


def _of(*names: str) -> Callable[[], Iterable[str]]:
    return lambda: names


FIELDS: dict[str, Field] = {
    'seed': Field(
        0, 'draws the split, the initial weights, the order of cells, their augmentation', low=0, high=2**31 - 1
    ),
    'epochs': Field(100, 'at most this many passes over the training cells [paper]', low=1, high=10**6),
    'batch_size': Field(28, 'cells a step [paper]; the last, smaller batch of an epoch counts too', low=1, high=10**5),
    # --- the cells; alljax.data.datasets.problems knows which set has which task
    'data.name': Field(
        'auto', "the data set, one of DATASETS; 'auto' is all_idb2 where a folder is named, else a demo"
    ),
    'data.root': Field('', "the folder of the cells; '' means $ALLJAX_DATA"),
    'data.task': Field(
        'subtype',
        "one of the data set's: detection (blast, normal), subtype (L1, L2, L3, normal), classes (of folders)",
    ),
    'data.source': Field(
        '',
        "the public name of the set, e.g. 'Acevedo 2020', so that a report can warn where the backbone was trained on "
        "it; '' where it has none (ALL-IDB2 is known by its files)",
    ),
    'data.size': Field(257, "pixels a side at which cells are kept; ALL-IDB2's own crop size", low=64, high=1024),
    'data.cells': Field(260, 'synthetic only: how many to draw, at least 40; ALL-IDB2 has 260', low=40, high=10**6),
    'data.denoise': Field('none', "filter before all else [the paper's future work]", lambda: denoise.NAMES),
    'data.stain': Field(
        'none',
        'normalization of light and stain: white_balance (each channel scaled so that its 90th percentile is 225), '
        'macenko or reinhard (to the median cell of the training side)',
        lambda: stain.NAMES,
    ),
    'data.mask': Field(
        'none',
        'the classical system by which the cell is found; all around it is painted over. A picture in which nothing is '
        'found stays whole',
        lambda: ('none', *cell_masks.names()),
    ),
    'data.mask_part': Field('cell', 'what data.mask leaves: the cell or its nucleus', lambda: cell_region.PARTS),
    'data.mask_fill': Field(
        'white',
        'what data.mask paints: white (255, which the classical systems take for no picture) or the blurred '
        'surroundings',
        lambda: cell_region.FILLS,
    ),
    'data.crop': Field(
        0,
        'pixels a side, of data.size, of a square around the nucleus that data.mask (else rawat2017) finds, with its '
        'scale kept; 0 for the whole picture',
        low=0,
        high=1024,
    ),
    'data.color': Field(
        'RGB', 'the color model that the network sees [paper, Table 1: A, B, C, D], or gray', lambda: color.MODELS
    ),
    'data.equalize': Field(
        'undersample',
        'classes of the training side: undersample to the smallest [paper], oversample to the largest, weights in the '
        'loss, none; batches: each step draws classes, and groups within a class, with equal chances',
        _of('undersample', 'oversample', 'weights', 'none', 'batches'),
    ),
    # --- who trains and who tests
    'split.protocol': Field(
        'grouped',
        'grouped never separates cells of one group; leave_one_group_out has a fold for each patient or slide; random '
        'by file leaks; paper splits by file after the copies are made, and leaks more',
        _of('grouped', 'random', 'paper', 'leave_one_group_out'),
    ),
    'split.test': Field(
        0.4, 'fraction of the cells that is scored once, at the end [paper]; unused with folds', low=0.05, high=0.95
    ),
    'split.folds': Field(
        1,
        'of a cross-validation, in which every cell is tested once; 1 is the hold-out [paper]; unused with '
        'leave_one_group_out',
        low=1,
        high=1000,
    ),
    'split.fold': Field(
        -1, 'the fold to test, from 0; -1 for all of them, each in a run folder of its own', low=-1, high=999
    ),
    'split.repeats': Field(1, 'times that the whole is done, with cells shuffled anew', low=1, high=1000),
    'split.repeat': Field(-1, 'the repetition to do, from 0; -1 for all of them', low=-1, high=999),
    'split.validation': Field(
        0.0,
        'fraction of the training side, whole groups, that chooses the best epoch; 0 means that the last epoch counts '
        '[paper]',
        low=0,
        high=0.5,
    ),
    'split.train_groups': Field(
        0,
        'at most this many groups of each class train, drawn by seed and repeat; a larger number keeps those of a '
        'smaller one; 0 for all',
        low=0,
        high=10**6,
    ),
    'split.train_cells': Field(
        0, 'at most this many cells of each class train, drawn in the same way; 0 for all', low=0, high=10**6
    ),
    # --- a second set, such as another laboratory's, on which the trained model is tested as well
    'test.root': Field('', "the folder of the second set; '' for none"),
    'test.name': Field('folder', 'the data set that the folder is read as, one of DATASETS'),
    'test.labels': Field(
        '', "a CSV file of theirs,ours that says which class each label of it is; '' for classes of the same name"
    ),
    'test.adapt_cells': Field(
        0, 'cells of each class of the second set that join the training side; the rest is tested', low=0, high=10**6
    ),
    'test.adapt_groups': Field(
        0, 'slides of the second set that join the training side; the rest is tested', low=0, high=10**6
    ),
    # --- changes of training cells
    'augment.copies': Field(
        'fresh',
        'fresh: each step turns its cells anew; published: turned copies enlarge the training side once, to the '
        "paper's counts (310 cells to 266 L1, 153 L2, 81 L3, 260 normal, in proportion) [paper]; frozen layers then "
        'see each picture once',
        _of('fresh', 'published'),
    ),
    'augment.rotate': Field(
        180.0, 'degrees; each training cell is turned by up to this, either way [paper]', low=0, high=180
    ),
    'augment.light': Field(
        0.0, "standard deviation of each channel's log gain: other lamps, other stains; 0 [paper]", low=0, high=1
    ),
    'augment.mirror': Field(True, 'flips half of the training cells, left to right [paper]'),
    'augment.mixup': Field(
        0.0,
        'parameter of the Beta distribution by which each cell of a step and its label are blended with another (Zhang '
        'et al. 2018); 0 blends none',
        low=0,
        high=10,
    ),
    'augment.stain': Field(
        0.0,
        'standard deviation of the log gain of hematoxylin, eosin and DAB in each cell, and of a shift of their '
        'optical density',
        low=0,
        high=1,
    ),
    'augment.blur': Field(
        0.0, "largest standard deviation of a cell's blur, pixels of the network's input", low=0, high=8
    ),
    'augment.noise': Field(0.0, "largest standard deviation of a cell's noise, of 255", low=0, high=100),
    'augment.jpeg': Field(
        0, 'lowest quality, 1 to 100, at which a cell is compressed as JPEG does; 0 for none', low=0, high=100
    ),
    'augment.gray': Field(0.0, 'share of the cells that lose their color', low=0, high=1),
    # --- the network
    'model.name': Field(
        'alexnet', 'a network of `alljax weights --list`, or your own in alljax.models.MODELS', lambda: MODELS
    ),
    'model.init': Field(
        'imagenet',
        "'imagenet' [paper], 'imagenet:IMAGENET1K_V1' for others than the recommended weights, "
        "'imagenet:convolutions' for these alone with new dense layers, which get the head's factor on the rate "
        "(alexnet, vgg16), 'random', or the path of a run folder or of converted weights",
    ),
    'model.head': Field(
        1024,
        "units of the new hidden layer [paper, Table 4]; 0 for the network's own last layers",
        low=0,
        high=10**5,
    ),
    'model.size': Field(
        0, 'pixels a side that the network sees; 0 for its own, which is 227 for AlexNet [paper]', low=0, high=2048
    ),
    'model.width': Field(
        1.0, 'factor on the channels of every old layer; below 1 only for quick looks', low=0.02, high=4
    ),
    'model.dropout': Field(
        None,
        'probability of a zero before the last layers (in AlexNet before fc6 and fc7), or None for the published one, '
        "which is 0.5 for AlexNet [MATLAB's AlexNet]",
        low=0,
        high=0.99,
        example=0.5,
    ),
    'model.freeze': Field('', "regular expression over parameter names that stay as they start, e.g. 'conv.*'"),
    'model.norm': Field(
        'batch',
        'batch: batch normalization where the network has it; group: group normalization in its place, with the '
        'pretrained scale and bias',
        _of('batch', 'group'),
    ),
    'model.statistics': Field(
        'running',
        "batch normalization's: running statistics of training; frozen at those that it starts with; test_slide, "
        'test_set: estimated anew from the unlabelled test slide or test set, which is transductive',
        _of(*STATISTICS),
    ),
    # --- a classical system of Table 6 in the place of the network; its own parts stand in alljax/baselines/systems.py
    'baseline.system': Field(
        '', "one of `alljax baselines --list` in the place of the network; '' for none", lambda: ('', *SYSTEMS)
    ),
    'baseline.preprocess': Field(
        None,
        "filters, in their order; None for the system's own, here and below",
        lambda: PREPROCESS,
        several=True,
        example=('median',),
    ),
    'baseline.segment': Field(
        None,
        "the segmentation; 'whole' takes the picture as it is",
        lambda: (WHOLE, *SEGMENTS),
        example='otsu',
    ),
    'baseline.features': Field(
        None,
        "the measurements; 'network' is what config.model says before its last layers",
        lambda: (*FEATURES, NETWORK),
        several=True,
        not_empty=True,
        example=('glcm',),
    ),
    'baseline.components': Field(
        None, 'principal components of the features; 0 for all features', low=0, high=10**4, example=6
    ),
    'baseline.classify': Field(
        None,
        'the classifiers, the best of which is taken',
        lambda: CLASSIFIERS,
        several=True,
        not_empty=True,
        example=('knn',),
    ),
    'baseline.hierarchical': Field(None, 'True: first normal or not, then which of the others', example=True),
    'baseline.standardize': Field(
        None,
        'mean and deviation by which features are standardized: of the training side, or of the unlabelled slide or '
        'set that they come from, which is transductive',
        lambda: STANDARDIZE,
        example='slide',
    ),
    'baseline.networks': Field(
        None,
        "the networks that 'network' in baseline.features stands for, side by side; () for config.model.name alone",
        lambda: MODELS,
        several=True,
        example=('resnet18',),
    ),
    # --- learning
    'optimizer.name': Field('sgd', 'sgd with momentum [MATLAB] or adamw', _of('sgd', 'adamw')),
    'optimizer.rate': Field(
        1e-4, "learning rate a step, before the factors [MATLAB's AlexNet example]", low=0, high=100
    ),
    'optimizer.factors': Field(
        (('head/.*', 20.0), ('.*', 1.0)),
        '(regular expression over parameter names, factor on the rate), first match wins, and every parameter has to '
        "match one: the new layers learn faster [paper; 20 from MATLAB's AlexNet example]",
    ),
    'optimizer.layer_decay': Field(
        1.0,
        'factor on the rate from each layer to the one before it, new layers excepted (Bao et al. 2021, BEiT); 1 for '
        'none',
        low=0.01,
        high=1,
    ),
    'optimizer.ema': Field(
        0.0,
        'decay of a moving average of the parameters, which is validated, tested and kept; 0 for none',
        low=0,
        high=0.99999,
    ),
    'optimizer.momentum': Field(0.9, 'of sgd [MATLAB]; of adamw, the decay of the first moment', low=0, high=0.9999),
    'optimizer.l2': Field(
        1e-4, "on kernels, not biases [MATLAB]; adamw's is decoupled from the gradient", low=0, high=1
    ),
    'optimizer.schedule': Field(
        'constant', 'constant [MATLAB] or cosine to zero over all epochs', _of('constant', 'cosine')
    ),
    'optimizer.warmup': Field(0.0, 'epochs over which the rate rises linearly from zero', low=0, high=10**6),
    'optimizer.clip': Field(0.0, 'largest global norm of the gradient; 0 means no limit', low=0),
    'loss.smoothing': Field(
        0.0, 'share of each label that is spread evenly over all classes (Szegedy et al. 2016)', low=0, high=0.9
    ),
    'loss.robust': Field(
        'none',
        'group_dro: slides of the training side with a high loss count more (Sagawa et al. 2020)',
        _of('none', 'group_dro'),
    ),
    'loss.robust_rate': Field(0.01, "step size of the slides' weights in group_dro", low=0, high=10),
    'stop.patience': Field(
        0, 'epochs without a better validation loss after which training ends; 0 means never', low=0, high=10**6
    ),
    'checkpoint.seconds': Field(120.0, 'between two saves of the whole state, besides the one at the end', low=0),
    'gradients.every': Field(
        0,
        'steps from one look at the gradients to the next: of each layer the norm, the update over the parameters, the '
        'noise scale and the conflict of the classes; 0 means never',
        low=0,
        high=10**6,
    ),
}

# Fields that earlier releases lack, by the beginnings of their names: a run of theirs did what the default does.
LATER = (
    'augment.blur', 'augment.gray', 'augment.jpeg', 'augment.mixup', 'augment.noise', 'augment.stain', 'baseline.',
    'data.crop', 'data.mask', 'data.source', 'data.stain', 'loss.', 'model.norm', 'model.statistics', 'optimizer.ema',
    'optimizer.layer_decay', 'split.train_', 'test.',
)  # fmt: skip

# Values that replace the defaults in three situations, unless the user sets the field. A random start has no old layers
# to protect: every layer learns at one rate, by AdamW, and a validation fold says when to stop.
WHEN: dict[str, dict[str, Any]] = {
    'random': {
        'epochs': 30,
        'augment': {'light': 0.15},
        'model': {'dropout': 0.2},
        'optimizer': {
            'name': 'adamw',
            'rate': 2e-4,
            'factors': (('.*', 1.0),),
            'schedule': 'cosine',
            'warmup': 2.0,
            'clip': 1.0,
        },
    },
    'paper': {'augment': {'copies': 'published'}},  # split.protocol 'paper'
    'demo': {'epochs': 8, 'data': {'cells': 720, 'equalize': 'oversample'}},
}


def later_fields() -> dict[str, Any]:
    """The defaults of the fields that runs of earlier releases lack."""
    return {name: field.default for name, field in FIELDS.items() if name.startswith(LATER)}


def allowed(name: str) -> Collection[str]:
    """The choices of a field as they are now; none where it has no list of them."""
    choices = FIELDS[name].choices
    return tuple(choices()) if choices else ()
