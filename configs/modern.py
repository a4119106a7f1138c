"""The paper's task with any other network of the zoo, by one recipe for all of them.

    python launch.py --config=configs/modern.py --config.model.name=resnet50

`python -m alljax.weights --list` shows the networks. The data are chosen as in configs/subtype.py; for a folder of
class folders add --config.data.name=folder --config.data.task=classes --config.data.root=DIR. To compare several, see
configs/ablations/architectures.py.

The paper's SGD is tuned for AlexNet and hardly moves networks with other scales of gradients (EfficientNet, ViT), so
all networks learn by AdamW with a cosine here; every cell counts, in the proportion that makes the classes equal. These
are our choices; the split, the augmentation, the batch and the new layers are the paper's.
"""

from ml_collections import ConfigDict

from configs import subtype


def get_config() -> ConfigDict:
    """Four classes, ResNet-50 unless told otherwise."""
    config = subtype.get_config()
    config.model.name = 'resnet50'
    config.data.equalize = 'weights'
    config.epochs = 20
    config.optimizer.name = 'adamw'
    config.optimizer.rate = 1e-4
    config.optimizer.factors = (('head/.*', 10.0), ('.*', 1.0))
    config.optimizer.schedule = 'cosine'
    config.optimizer.warmup = 1.0
    config.optimizer.clip = 1.0
    return config
