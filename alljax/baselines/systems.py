"""The classical systems, each from four kinds of parts: preprocess, segment, measure, classify.

Where a source does not say how, the plainest way is taken, and the docstring says so. No author's code was at
hand: these are rebuilt from what is published about them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from alljax.storage.image_preparation import SEGMENTATIONS

WHOLE = 'whole'  # no segmentation: the whole picture is the cell
STANDARDIZE = ('training', 'slide', 'set')  # the cells by which features are standardized


class System(NamedTuple):
    """A system's parts, by the names of `PREPROCESS`, `SEGMENTS`, `FEATURES` and `CLASSIFIERS`."""

    segment: str
    features: tuple[str, ...]
    classify: tuple[str, ...]  # of several, inner cross-validation takes the best
    preprocess: tuple[str, ...] = ()
    components: int = 0  # principal components that are classified; 0 means the features themselves
    hierarchical: bool = False  # first normal or not, then which of the others
    standardize: str = STANDARDIZE[0]  # by the training side, or by the unlabelled slide or set that cells come from
    networks: tuple[str, ...] = ()  # that 'network' stands for, side by side; none for the one that the config names
    segmentation: int = SEGMENTATIONS[-1]  # the version of the search for a cell: a model keeps that of its training
    weights: str = (
        ''  # a file of `alljax segmentation`, for a segmentation that has weights; '' for those of the package
    )

    def __str__(self) -> str:
        parts = [
            ' and '.join(self.preprocess),
            '' if self.segment == WHOLE else self.segment,
            ' and '.join(self.features),
            '' if self.segmentation == SEGMENTATIONS[-1] else f'segmentation version {self.segmentation}',
            f'weights of {Path(self.weights).name}' if self.weights else '',
            f'networks {" and ".join(self.networks)}' if self.networks else '',
            '' if self.standardize == STANDARDIZE[0] else f'standardized by {self.standardize}',
            f'{self.components} principal components' if self.components else '',
            ('hierarchy of ' if self.hierarchical else '') + ' or '.join(self.classify),
        ]
        return ' → '.join(part.replace('_', ' ') for part in parts if part)


def joshi2013() -> System:
    """Joshi, Karode & Suralkar 2013: enhanced gray picture, Otsu's threshold, shape of the nucleus, nearest neighbors.

    Not stated in the source: to what the enhancement is applied (here brightness), which shape features, how many
    neighbors (chosen by inner cross-validation), where the cytoplasm lies (a second threshold; it is not measured).
    """
    return System('otsu', ('nucleus_shape',), ('knn',), preprocess=('stretch', 'equalize'))


def chatap2014() -> System:
    """Chatap & Shibu 2014: one Otsu threshold for the picture, shape of the nucleus, nearest neighbors.

    Not stated in the source: which shape features, how many neighbors (chosen by inner cross-validation), where the
    cytoplasm lies (a second threshold; it is not measured). The source tries an SVM too: `classify=('svm',)`.
    """
    return System('otsu', ('nucleus_shape',), ('knn',))


def putzu2014() -> System:
    """Putzu, Caocci & Di Ruberto 2014: the cell where yellow lacks (Zack's triangle), nucleus by green × a*, RBF SVM.

    Touching cells are cut by a watershed; shape, color and GLCM texture are measured. Not stated in the source: how the
    background, which lacks yellow too, is left out (Otsu's threshold on green), C and gamma (inner cross-validation).
    """
    return System('triangle_and_watershed', ('nucleus_shape', 'cell_shape', 'color', 'glcm'), ('svm',))


def moradiamin2015_kmeans() -> System:
    """MoradiAmin et al. 2015: equalized and stretched, k-means in HSV, geometry and statistics, SVM.

    Not stated in the source: the number of clusters (four: nucleus, cytoplasm, red cells, background), how hue enters a
    distance (as a point in the HSV cone), the SVM's kernel (RBF).
    """
    features = ('nucleus_shape', 'cell_shape', 'statistics')
    return System('hsv_k_means', features, ('svm',), preprocess=('equalize', 'stretch'))


def moradiamin2015_fcm() -> System:
    """MoradiAmin et al. 2015: fuzzy c-means, many features of which the first six principal components, SVM.

    Not stated in the source: the color space (L*a*b*) and number (four) of the clusters, which features (all that there
    are here), the SVM's kernel (RBF).
    """
    features = ('nucleus_shape', 'cell_shape', 'color', 'statistics', 'glcm')
    return System('lab_fuzzy', features, ('svm',), components=6)


def karthikeyan2017() -> System:
    """Karthikeyan & Poornima 2017: equalized, median filter, fuzzy c-means, shape and texture, SVM.

    Not stated in the source: what is clustered (gray levels), in how many clusters (three), the SVM's kernel (RBF).
    """
    return System('gray_fuzzy', ('nucleus_shape', 'cell_shape', 'glcm'), ('svm',), preprocess=('equalize', 'median'))


def karthikeyan2017_kmeans() -> System:
    """The same with k-means in the place of fuzzy c-means, which is what the source compares."""
    return karthikeyan2017()._replace(segment='gray_k_means')


def li2016() -> System:
    """Li et al. 2016: dark in stretched gray and of a cell's hue, both thresholds by golden-section search.

    The source ends with the segmentation; shape and an SVM follow so that it can be ranked. Not stated in the source:
    what the search maximizes (the variance between classes), on which side of the hue's threshold cells are (where the
    darkest pixels are), how nucleus and cytoplasm part (one more search).
    """
    return System('dual_threshold', ('nucleus_shape', 'cell_shape'), ('svm',))


def rawat2017() -> System:
    """Rawat et al. 2017: texture, shape and color of nucleus and cytoplasm; blast or normal first, then the subtype.

    At both levels the best of SVM, nearest neighbors, ANFIS and PNN. Not stated in the source: how nucleus and
    cytoplasm are found (two thresholds on green), how the best is chosen (inner cross-validation). Classes without a
    normal one, or with one beside it, are told apart at once.
    """
    features = ('glcm', 'nucleus_shape', 'cell_shape', 'color')
    return System('three_levels', features, ('svm', 'knn', 'anfis', 'pnn'), hierarchical=True)


def vogado2017() -> System:
    """Vogado et al. 2017: what the last layers of a pretrained network say of the whole picture, and a majority vote.

    SVM, multilayer perceptron, nearest neighbors and random forest vote. The network is `config.model.name`, its
    weights `config.model.init`. Not stated in the source: their hyperparameters (scikit-learn's; the SVM's C is chosen
    by inner cross-validation).
    """
    return System(WHOLE, ('network',), ('vote',))


def unet() -> System:
    """A U-Net (Ronneberger et al. 2015) finds the cell; what it is made of is measured as by rawat2017, RBF SVM.

    No system of Table 6, but one of today: a small network, trained on drawn cells or on your own masks
    (`alljax segmentation`), in the place of thresholds.
    """
    return System('unet', ('nucleus_shape', 'cell_shape', 'color', 'glcm'), ('svm',))


def assembled(name: str, parts: Mapping[str, Any]) -> System:
    """A system of SYSTEMS with those of the `parts` in the place of its own that are not None."""
    return SYSTEMS[name]()._replace(**{part: value for part, value in parts.items() if value is not None})


SYSTEMS: dict[str, Callable[[], System]] = {
    'joshi2013': joshi2013,
    'chatap2014': chatap2014,
    'putzu2014': putzu2014,
    'moradiamin2015_kmeans': moradiamin2015_kmeans,
    'moradiamin2015_fcm': moradiamin2015_fcm,
    'karthikeyan2017': karthikeyan2017,
    'karthikeyan2017_kmeans': karthikeyan2017_kmeans,
    'li2016': li2016,
    'rawat2017': rawat2017,
    'vogado2017': vogado2017,
    'unet': unet,
}
