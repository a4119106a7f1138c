r"""A network from random weights on a larger set: a long schedule, and much against overfitting.

    python launch.py --config=configs/scratch.py --config.data.root=/path/to/PBC_dataset_normal_DIB
    python launch.py --config=configs/scratch.py --config.data.root=/path/to/C-NMC --config.split.protocol=given
    python launch.py --config=configs/scratch.py --config.data.root=/path/to/bloodmnist_64.npz \
        --config.split.protocol=given --config.data.size=64 --config.model.size=64

The set is known by its layout, with its classes. Photographs teach a network edges and colors; without them it has to
learn these from the cells, which takes many more steps: 120 epochs by AdamW with five of warmup and a cosine, weight
decay, smoothed labels, a moving average of the parameters, and cells that are turned, relit, restained and blurred anew
at each step. Below some thousand cells a start from ImageNet (configs/modern.py) does better. These are our choices, of
what the field uses; nothing of them has been tuned on a set of cells.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """ResNet-18 from random weights, every class drawn equally often, the best epoch by a validation fold."""
    config = common.get_config()
    config.data.name, config.data.task = 'auto', 'auto'
    config.data.size, config.data.equalize = 160, 'batches'
    config.model.name, config.model.init, config.model.head, config.model.size = 'resnet18', 'random', 0, 128
    config.when.random = ConfigDict()  # this file is the recipe
    config.epochs, config.batch_size = 120, 64
    config.split.validation = 0.15
    config.augment.light, config.augment.stain, config.augment.blur, config.augment.noise = 0.15, 0.1, 1.0, 4.0
    config.optimizer.name, config.optimizer.rate, config.optimizer.l2 = 'adamw', 1e-3, 0.05
    config.optimizer.factors = (('.*', 1.0),)
    config.optimizer.schedule, config.optimizer.warmup, config.optimizer.clip = 'cosine', 5.0, 1.0
    config.optimizer.ema, config.loss.smoothing = 0.999, 0.1
    return config
