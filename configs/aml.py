"""Acute myeloid leukemia: blast or not, or the 15 classes of a blood smear, with the paper's network and settings.

    python launch.py --config=configs/aml.py --config.data.root=/path/to/AML
    python launch.py --config=configs/aml.py --config.data.task=classes --config.data.root=/path/to/AML

The paper names AML as the next step after ALL. The set is Matek et al. 2019, 18,365 cells; its files do not tell the
patients, so cells of one may be on both sides and a number is too high for a new one: a second set
(--config.test.root) says more. For 'detection' myeloblasts and monoblasts are blasts and the six kinds of healthy
blood are normal; what is neither is left out. Most classes have under a hundred cells, so for 'classes' every cell
trains, and each class is drawn equally often.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """Blast or normal, the classes equal in each step."""
    config = common.get_config()
    config.data.name, config.data.task = 'aml_munich', 'detection'
    config.data.equalize = 'batches'
    config.epochs = 20  # each of which is 400 of the paper's steps
    return config
