"""The fields of the network, of a classical system in its place, and of learning."""

from alljax.baselines.classify import CLASSIFIERS
from alljax.baselines.features import FEATURES, NETWORK
from alljax.baselines.preprocess import PREPROCESS
from alljax.baselines.segment import SEGMENTS
from alljax.baselines.systems import STANDARDIZE, SYSTEMS, WHOLE
from alljax.config.field import Field, one_of
from alljax.config.network_choice import AUTO
from alljax.evaluation.ensemble_selection import CHOOSE
from alljax.models import MODELS
from alljax.models.batch_statistics import STATISTICS
from alljax.storage.calibration_record import UNLIKE
from alljax.storage.image_preparation import SEGMENTATIONS
from alljax.storage.prediction_views_record import MOST_COPIES

MODEL_FIELDS: dict[str, Field] = {
    # --- the network
    'model.name': Field(
        'alexnet',
        "a network of `alljax weights --list`, or your own in alljax.models.MODELS; 'auto' for one that a laptop "
        'carries and whose weights can be had, of alljax/config/network_choice.py',
        lambda: (*MODELS, AUTO),
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
    'model.dense': Field(
        True,
        "False leaves out fc6 and fc7 (AlexNet, VGG): the new layers get the last convolution's features, averaged "
        'over their positions',
    ),
    'model.freeze': Field('', "regular expression over parameter names that stay as they start, e.g. 'conv.*'"),
    'model.norm': Field(
        'batch',
        'batch: batch normalization where the network has it; group: group normalization in its place, with the '
        'pretrained scale and bias',
        one_of('batch', 'group'),
    ),
    'model.statistics': Field(
        'running',
        "batch normalization's: running statistics of training; frozen at those that it starts with; test_slide, "
        'test_set: estimated anew from the unlabelled test slide or test set, which is transductive',
        one_of(*STATISTICS),
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
    'baseline.segmentation': Field(
        None,
        'version of the search for a cell, of data.mask and data.crop too: 2 joins the lobes of a nucleus and cuts off '
        'red cells that touch, 1 is that of release 0.1; None for the latest, or that of the run in the folder',
        low=SEGMENTATIONS[0],
        high=SEGMENTATIONS[-1],
        example=1,
    ),
    'baseline.weights': Field(
        None,
        'the unet.safetensors that `alljax segmentation` trained on your own masks, for a segmentation by a network; '
        'None for the weights of the package',
        example='mine/unet.safetensors',
    ),
    'baseline.networks': Field(
        None,
        "the networks that 'network' in baseline.features stands for, side by side; () for config.model.name alone. "
        "With 'imagenet:convolutions' those that have no such weights begin with all of ImageNet's",
        lambda: MODELS,
        several=True,
        example=('resnet18',),
    ),
    # --- several models, of which some are averaged, in the place of one
    'ensemble.candidates': Field(
        (),
        '(name, {field: value, …}) of each: the run with these fields changed, of a network or a classical system; '
        'those that are averaged are chosen on inner folds of the training side',
    ),
    'ensemble.choose': Field(
        'average',
        'average: added one after the other, also again, by macro recall on the inner folds (Caruana et al. 2004); '
        'best: the one of the highest; all: every candidate, with equal weights',
        one_of(*CHOOSE),
    ),
    'ensemble.members': Field(3, 'candidates that an average has, at most', low=1, high=100),
    'ensemble.folds': Field(5, 'inner folds of the training side, which separate no group', low=2, high=100),
    # --- learning
    'optimizer.name': Field('sgd', 'sgd with momentum [MATLAB] or adamw', one_of('sgd', 'adamw')),
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
        'constant', 'constant [MATLAB] or cosine to zero over all epochs', one_of('constant', 'cosine')
    ),
    'optimizer.warmup': Field(0.0, 'epochs over which the rate rises linearly from zero', low=0, high=10**6),
    'optimizer.clip': Field(0.0, 'largest global norm of the gradient; 0 means no limit', low=0),
    'loss.smoothing': Field(
        0.0, 'share of each label that is spread evenly over all classes (Szegedy et al. 2016)', low=0, high=0.9
    ),
    'loss.robust': Field(
        'none',
        'group_dro: slides of the training side with a high loss count more (Sagawa et al. 2020)',
        one_of('none', 'group_dro'),
    ),
    'loss.robust_rate': Field(0.01, "step size of the slides' weights in group_dro", low=0, high=10),
    'stop.patience': Field(
        0, 'epochs without a better validation loss after which training ends; 0 means never', low=0, high=10**6
    ),
    # --- certainty
    'calibration.fit': Field(
        'none',
        'validation: the validation fold, which trains nothing then, gives a temperature for the probabilities, sets '
        'of classes and the confidence from which the model answers; folds: what the folds of a cross-validation say '
        'of cells that they did not train on gives these to its final model; none: probabilities as they come',
        one_of('none', 'validation', 'folds'),
    ),
    'calibration.coverage': Field(
        0.9, 'share of the cells of a new slide whose class is to be in its set, on average', low=0.5, high=0.999
    ),
    'calibration.accuracy': Field(
        0.95, 'wanted of the answers: below the confidence that reaches it a cell is called uncertain', low=0, high=1
    ),
    'calibration.unlike': Field(
        'pictures',
        'a cell unlike the training cells is told by: pictures (seven measurements of the picture), or by these and '
        "a score of the model's features: mahalanobis (distance from the classes), knn (from the fifth nearest "
        'training cell) or energy (of a network: -logsumexp of its logits), beyond 95 % of held-out cells',
        lambda: UNLIKE,
    ),
    'checkpoint.seconds': Field(120.0, 'between two saves of the whole state, besides the one at the end', low=0),
    'gradients.every': Field(
        0,
        'steps from one look at the gradients to the next: of each layer the norm, the update over the parameters, the '
        'noise scale, the cosine between classes and with the last look (two steps of time), and once an epoch how '
        'alike layers are to the epoch before (a forward pass of 32 cells); 0 means never',
        low=0,
        high=10**6,
    ),
    'gradients.curvature': Field(
        True,
        'a look also finds the largest eigenvalue of the Hessian on 32 training cells: five products with it, each of '
        'the time of about three gradients, and six vectors as long as the trained parameters',
    ),
    # --- prediction: of the run's test, of an external one and of `alljax predict`
    'predict.turns': Field(
        1,
        'positions of a picture over which probabilities are averaged: 1 as it is, 2 with its mirror image, 4 quarter '
        'turns, 8 quarter turns and their mirror images',
        low=1,
        high=8,
    ),
    'predict.copies': Field(
        0,
        'copies of a picture that join the average, each in all its turns; jittered by the amounts of augment.light, '
        'stain, blur, noise, jpeg and gray',
        low=0,
        high=MOST_COPIES,
    ),
    # --- the report
    'report.heat_maps': Field(
        True, 'where in a picture the logit of the predicted class comes from (Grad-CAM), for mistakes and some others'
    ),
}
