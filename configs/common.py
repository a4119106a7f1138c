"""Every field of a run: what it means, its unit, what it may be, and where its value comes from.

A task file calls `get_config()` and changes a few. On the command line `--config.a.b=value` changes one, and wins over
everything here. [paper] is Shafique & Tehsin 2018; [MATLAB] is a default of MATLAB's trainingOptions or of its AlexNet
transfer example, which stands in where the paper is silent.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The paper's settings, without a task."""
    config = ConfigDict()

    config.seed = 0  # any whole number; draws the split, the initial weights, the order of cells, their augmentation
    config.epochs = 100  # at most this many passes over the training cells [paper]
    config.batch_size = 28  # cells a step [paper]; the last, smaller batch of an epoch counts too

    config.data = ConfigDict()
    config.data.name = 'auto'  # 'all_idb2', 'folder', 'synthetic'; 'auto' is all_idb2 where it is found, else a demo
    config.data.root = ''  # the folder of the cells; '' means $ALLJAX_DATA
    config.data.task = 'subtype'  # 'detection' (blast, normal), 'subtype' (L1, L2, L3, normal), 'classes' (of folders)
    config.data.size = 257  # pixels a side at which cells are kept; ALL-IDB2's own crop size
    config.data.cells = 260  # synthetic only: how many to draw, at least 40; ALL-IDB2 has 260
    config.data.denoise = 'none'  # filter before all else: 'median', 'mean', 'unsharp', 'gaussian', 'conservative',
    #                               'lowpass' [the paper's future work]
    config.data.color = 'RGB'  # what the network sees: 'RGB', 'HSV', 'YCbCr', 'HCbCr' [paper, Table 1: A, B, C, D]
    config.data.equalize = 'undersample'  # classes of the training side: 'undersample' to the smallest [paper],
    #                                       'oversample' to the largest, 'weights' in the loss, 'none'

    config.split = ConfigDict()
    config.split.protocol = 'grouped'  # 'grouped' never separates cells of one group; 'random' by file leaks; 'paper'
    #                                    splits by file after the copies are made, and leaks more
    config.split.test = 0.4  # fraction of the cells that is scored once, at the end [paper]; unused with folds
    config.split.folds = 1  # of a cross-validation, in which every cell is tested once; 1 is the hold-out [paper]
    config.split.fold = -1  # the fold to test, from 0; -1 for all of them, each in a run folder of its own
    config.split.repeats = 1  # times that the whole is done, with cells shuffled anew
    config.split.repeat = -1  # the repetition to do, from 0; -1 for all of them
    config.split.validation = 0.0  # fraction of the training side, whole groups, that chooses the best epoch;
    #                                0 means that the last epoch counts [paper]

    config.augment = ConfigDict()
    config.augment.copies = 'fresh'  # 'fresh': each step turns its cells anew; 'published': turned copies enlarge the
    #                                  training side once, to the paper's counts (310 cells to 266 L1, 153 L2, 81 L3,
    #                                  260 normal, in proportion) [paper]; frozen layers then see each picture once
    config.augment.rotate = 180.0  # degrees; each training cell is turned by up to this, either way [paper]
    config.augment.light = 0.0  # standard deviation of each channel's log gain: other lamps, other stains; 0 [paper]
    config.augment.mirror = True  # flips half of the training cells, left to right [paper]

    config.model = ConfigDict()
    config.model.name = 'alexnet'  # a network of `python -m alljax.weights --list`, or your own in alljax.models.MODELS
    config.model.init = 'imagenet'  # 'imagenet' [paper], 'imagenet:IMAGENET1K_V1' for others than the recommended
    #                                 weights, 'random', or the path of a run folder or of converted weights
    config.model.head = 1024  # units of the new hidden layer [paper, Table 4]; 0 for the network's own last layers
    config.model.size = 0  # pixels a side that the network sees; 0 for its own, which is 227 for AlexNet [paper]
    config.model.width = 1.0  # factor on the channels of every old layer; below 1 only for quick looks
    config.model.dropout = None  # probability of a zero before the last layers (in AlexNet before fc6 and fc7), or
    #                              None for the published one, which is 0.5 for AlexNet [MATLAB's AlexNet]
    config.model.freeze = ''  # regular expression over parameter names that stay as they start, e.g. 'conv.*'

    config.baseline = ConfigDict()  # a classical system of Table 6; its own parts stand in alljax/baselines/systems.py
    config.baseline.system = ''  # 'joshi2013', 'chatap2014', 'putzu2014', … in the place of the network; '' for none
    config.baseline.preprocess = None  # of 'stretch', 'equalize', 'median', in their order; None for the system's own,
    #                                    here and below
    config.baseline.segment = None  # 'otsu', 'three_levels', 'triangle_and_watershed', 'dual_threshold', 'hsv_k_means',
    #                                 'lab_fuzzy', 'gray_k_means', 'gray_fuzzy', or 'whole' for the picture as it is
    config.baseline.features = None  # of 'nucleus_shape', 'cell_shape', 'color', 'statistics', 'glcm', and 'network':
    #                                  what config.model says before its last layers
    config.baseline.components = None  # principal components of the features that are classified; 0 for all features
    config.baseline.classify = None  # of 'knn', 'svm', 'anfis', 'pnn', 'vote'; the best of several is taken
    config.baseline.hierarchical = None  # True: first normal or not, then which of the others

    config.optimizer = ConfigDict()
    config.optimizer.name = 'sgd'  # 'sgd' with momentum [MATLAB] or 'adamw'
    config.optimizer.rate = 1e-4  # learning rate a step, before the factors [MATLAB's AlexNet example]
    config.optimizer.factors = (  # (regular expression over parameter names, factor on the rate), first match wins;
        ('head/.*', 20.0),  #     the new layers learn faster [paper; 20 from MATLAB's AlexNet example]
        ('.*', 1.0),  #           every parameter has to match one of them
    )
    config.optimizer.momentum = 0.9  # of sgd [MATLAB]; of adamw, the decay of the first moment
    config.optimizer.l2 = 1e-4  # on kernels, not biases [MATLAB]; adamw's is decoupled from the gradient
    config.optimizer.schedule = 'constant'  # 'constant' [MATLAB] or 'cosine' to zero over all epochs
    config.optimizer.warmup = 0.0  # epochs over which the rate rises linearly from zero
    config.optimizer.clip = 0.0  # largest global norm of the gradient; 0 means no limit

    config.stop = ConfigDict()
    config.stop.patience = 0  # epochs without a better validation loss after which training ends; 0 means never

    config.checkpoint = ConfigDict()
    config.checkpoint.seconds = 120.0  # between two saves of the whole state, besides the one at the end

    config.gradients = ConfigDict()
    config.gradients.every = 0  # steps from one look at the gradients to the next: of each layer the norm, the update
    #                             over the parameters, the noise scale and the conflict of the classes; 0 means never

    # What replaces the above in three situations, unless you set the field yourself. A random start has no old layers
    # to protect: every layer learns at one rate, by AdamW, and a validation fold says when to stop.
    config.when = ConfigDict()
    config.when.random = {
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
    }
    config.when.paper = {'augment': {'copies': 'published'}}  # split.protocol 'paper'
    config.when.demo = {'epochs': 8, 'data': {'cells': 720, 'equalize': 'oversample'}}
    return config
