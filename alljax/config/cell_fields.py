"""The fields of a run and of its cells: which they are, who trains, who tests, and how they are changed."""

from alljax.baselines import cell_masks
from alljax.config.field import Field, one_of
from alljax.data import cell_region, color, denoise, stain
from alljax.data.datasets import GROUPS
from alljax.training.precision import PRECISIONS

CELL_FIELDS: dict[str, Field] = {
    'seed': Field(
        0, 'draws the split, the initial weights, the order of cells, their augmentation', low=0, high=2**31 - 1
    ),
    'epochs': Field(100, 'at most this many passes over the training cells [paper]', low=1, high=10**6),
    'batch_size': Field(28, 'cells a step [paper]; the last, smaller batch of an epoch counts too', low=1, high=10**5),
    'precision': Field(
        'tf32',
        'of training: float32 in full; tf32 rounds what a GPU multiplies, and is the same as float32 on a CPU; bf16 '
        'computes in bfloat16, for GPUs. Parameters, statistics and the loss are float32 in each',
        lambda: PRECISIONS,
    ),
    # --- the cells; alljax.data.datasets.problems knows which set has which task
    'data.name': Field(
        'auto',
        "the data set, one of DATASETS; 'auto' is the one that the folder is known as by its layout, else a demo",
    ),
    'data.root': Field('', "the folder of the cells; '' means $ALLJAX_DATA"),
    'data.task': Field(
        'subtype',
        "one of the data set's: detection (blast, normal), subtype (L1, L2, L3, normal), classes (of folders); 'auto' "
        'for the one that the folder has the tables for',
    ),
    'data.source': Field(
        '',
        "the public name of the set, e.g. 'Acevedo 2020', so that a report can warn where the backbone was trained on "
        "it; '' where it has none (ALL-IDB2 is known by its files)",
    ),
    'data.groups': Field(
        'named',
        'cells that are never separated: named (in cells.csv, groups.csv, or by the data set); audit: where no slides '
        'are named, the repeats of a cell that an audit finds; where they are, its repeats across slides are only told',
        lambda: GROUPS,
    ),
    'data.size': Field(257, "pixels a side at which cells are kept; ALL-IDB2's own crop size", low=64, high=1024),
    'data.device_cache_mb': Field(
        None,
        'MB of cells (cells × size² × 3 bytes) that memory, and the device, may hold; a larger set is read from its '
        'files in batches, with the same results; None for a quarter of the memory of this machine',
        low=0,
        high=10**9,
        example=1,
    ),
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
        one_of('undersample', 'oversample', 'weights', 'none', 'batches'),
    ),
    # --- who trains and who tests
    'split.protocol': Field(
        'grouped',
        'grouped never separates cells of one group; leave_one_group_out has a fold for each patient or slide; random '
        'by file leaks; paper splits by file after the copies are made, and leaks more; given takes the sides that '
        'come with the set (c_nmc_2019, medmnist_blood, raabin, split_folders), and leaks where these separate a group',
        one_of('grouped', 'random', 'paper', 'leave_one_group_out', 'given'),
    ),
    'split.test': Field(
        0.4,
        'fraction of the cells that is scored once, at the end [paper]; unused with folds and given sides',
        low=0.05,
        high=0.95,
    ),
    'split.folds': Field(
        1,
        'of a cross-validation, in which every cell is tested once; 1 is the hold-out [paper]; 0 for five, or as many '
        'as the groups allow; unused with leave_one_group_out and given',
        low=0,
        high=1000,
    ),
    'split.fold': Field(
        -1, 'the fold to test, from 0; -1 for all of them, each in a run folder of its own', low=-1, high=999
    ),
    'split.repeats': Field(1, 'times that the whole is done, with cells shuffled anew', low=1, high=1000),
    'split.repeat': Field(-1, 'the repetition to do, from 0; -1 for all of them', low=-1, high=999),
    'split.draw': Field(
        'balanced',
        'of groups: balanced deals the most uneven ones first, so that repetitions are alike where slides are few; '
        'shuffled deals them in any order, for repetitions that differ',
        one_of('balanced', 'shuffled'),
    ),
    'split.all_cells': Field(
        False,
        'every cell trains and none is tested, so that the model has no score; split.validation still keeps its share',
    ),
    'split.final_model': Field(
        False,
        'a cross-validation also trains one model on all cells, in final/, which predict and explain take; its '
        'accuracy is estimated by the folds',
    ),
    'split.validation': Field(
        0.0,
        'fraction of the training side, whole groups, that chooses the best epoch; 0 means that the last epoch counts '
        '[paper]. A validation side that is given takes its place',
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
        one_of('fresh', 'published'),
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
}
