r"""The recipe for cells of slides never seen: hand-made measurements, averaged, chosen on inner folds.

    python launch.py --config=configs/new_slide.py --config.data.root=/path/to/cells
    python launch.py --config=configs/new_slide.py --config.data.root=/path/to/cells \
        --config.split.folds=5 --config.split.repeats=3 --config.split.draw=shuffled

Class folders as configs/folder.py takes them; cells.csv or groups.csv says which cells are of one slide. No network, no
download: on real cells every lever of configs/ablations/new_slide.py was tried by slide, and these held
(tests/benchmarks/RESULTS.md has the numbers, and what they cost):

- White balance. Slides differ in their light first of all, and each picture's own background tells its light.
- Size, shape, color and texture of nucleus and cytoplasm. They carry over to other slides better than the features of a
  network that was trained on photographs.
- Classifiers with few numbers to learn, strongly regularized: thirty slides are thirty samples, however many the cells.
- Several segmentations of each cell, since nobody knows beforehand which one suits a laboratory. On the cells of the
  table putzu2014's alone does as well (73.8 %, but it was picked by looking at the tested slides) as the four that the
  inner folds pick (74.5 %); the difference is within noise.

Which of them are averaged, how often, and from which confidence an answer is given is decided on inner folds of the
training slides. `predict` says 'uncertain' below that confidence. For cells of another laboratory add
--config.baseline.standardize=set, which takes mean and deviation of the unlabelled set that is asked about.
"""

from ml_collections import ConfigDict

from configs import folder

MEASUREMENTS = ('nucleus_shape', 'cell_shape', 'color', 'statistics', 'glcm')
CLASSIFIERS = {  # system, whose segmentation is taken -> classifier
    'putzu2014': 'logistic',
    'li2016': 'logistic',
    'moradiamin2015_fcm': 'lda',
    'rawat2017': 'lda',
}
LIGHTS = {'white_balance': 'white balance', 'none': 'light as it is'}
Candidate = tuple[str, dict[str, object]]


def get_config() -> ConfigDict:
    """As many classes as there are class folders; the candidates in either light."""
    config = folder.get_config()
    config.data.equalize = 'oversample'
    config.ensemble.candidates = tuple(
        candidate(system, classifier, light) for light in LIGHTS for system, classifier in CLASSIFIERS.items()
    )
    config.ensemble.members = 4
    config.baseline.segmentation = 1  # that of the numbers above; 2 finds cells better, and was not tried by slide here
    return config


def candidate(system: str, classifier: str, light: str) -> Candidate:
    """All measurements of the cell that a system finds, told apart by one classifier."""
    fields = {
        'baseline.system': system,
        'baseline.features': MEASUREMENTS,
        'baseline.classify': (classifier,),
        'baseline.components': 0,
        'baseline.hierarchical': False,
        'data.stain': light,
    }
    return f'{system}, {classifier}, {LIGHTS[light]}', fields
