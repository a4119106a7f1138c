"""A detector of white cells in whole fields, from boxes: for fields whose colors do not tell them.

    python launch.py --config=configs/detect.py --config.data.root=/path/to/BCCD --workdir=runs/detector
    alljax smear runs/my-run fields/ --detector runs/detector

The first layers of EfficientNet-Lite0 with ImageNet's weights stay as they are; a head of three convolutions learns
where the middle of a white cell is, and its box, from views of the fields half of which have no color. Its report shows
the scores by folds that separate no group (fields, unless config.data.groups or config.data.group_pattern names
slides), each with the threshold that is best on the others; the last detector learns from all fields. `alljax smear`
needs none where fields have color: it then finds white cells by that.
"""

from ml_collections import ConfigDict

from alljax.config import detector_fields


def get_config() -> ConfigDict:
    """Every field of alljax/config/detector_fields.py as it stands there."""
    return detector_fields.defaults()
