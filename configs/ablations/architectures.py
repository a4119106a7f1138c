"""Networks of today beside AlexNet: the same cells, splits, augmentation, new layers and recipe for each.

    python launch.py --config=configs/ablations/architectures.py --config.data.root=/path/to/ALL_IDB2

--config.networks="('alexnet', 'resnet50')" chooses others of `python -m alljax.weights --list`. The recipe is that of
configs/modern.py, not the paper's, whose SGD is tuned for AlexNet.
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, across
from configs import modern


def get_config() -> ConfigDict:
    """Four classes, copies made once as in the paper."""
    config = modern.get_config()
    config.augment.copies = 'published'
    config.networks = (  # names of the zoo; the first is the one that the others are compared with
        'alexnet',
        'vgg16',
        'resnet50',
        'densenet121',
        'mobilenet_v3_large',
        'efficientnet_b0',
        'convnext_tiny',
        'vit_b_16',
    )
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a network."""
    return Sweep('Networks by one recipe', across('model.name', config.networks))
