"""How well scores of a model's features tell pictures unlike its training cells, beside the seven measurements.

    python tests/benchmarks/feature_likeness.py CELLS FIELDS --other DIR ... [--draws 10] [--system putzu2014]
    python tests/benchmarks/feature_likeness.py CELLS FIELDS --other DIR ... --network efficientnet_lite0

The sets are those of training_likeness.py, each thinned to 200 pictures, with two more: the cells of one class, which
is left out of the training side (a draw each), and squares of the photographs that scikit-image and scikit-learn come
with. Half of the slides train; an AUC is the chance that a picture of the set has a higher score than a held-out cell,
a share is that beyond the limit, the 95th percentile of training slides that are left out in turn. Both are means over
the draws. The network is frozen, with its published weights; energy is that of a logistic regression on its features.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from training_likeness import SIDE, from_fields, halves, looks, read, resized, zoomed

from alljax.baselines import extraction
from alljax.baselines.systems import SYSTEMS
from alljax.data import training_likeness
from alljax.evaluation import feature_likeness
from alljax.models import NetworkSpec
from alljax.storage import cache, model_folder
from alljax.training import frozen_features
from alljax.weights import weight_cache

MOST = 200  # pictures of a set
SCORES = ('mahalanobis', 'knn', 'energy')


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument('cells', type=Path)
    parser.add_argument('fields', type=Path)
    parser.add_argument('--other', type=Path, nargs='*', default=[])
    parser.add_argument('--draws', type=int, default=10)
    parser.add_argument('--system', default='putzu2014')
    parser.add_argument('--network', default='')
    options = parser.parse_args()
    cells = read(options.cells)
    every = np.arange(len(cells))
    some = thinned(every)
    sets = {'zoomed 2×': np.stack([*zoomed(cells.images[some], 2)])}
    sets |= {name: np.stack(found) for name, found in from_fields(options.fields).items()}
    sets |= {f'another laboratory ({folder.name})': read(folder).images for folder in options.other}
    sets['natural pictures'] = natural()
    sets = {name: pictures[thinned(np.arange(len(pictures)))] for name, pictures in sets.items()}
    began = time.monotonic()
    measure = of_network(options.network) if options.network else of_system(options.system)
    own, others = measure(cells.images), {name: measure(pictures) for name, pictures in sets.items()}
    seen, far = looks(cells.images), {name: looks(pictures) for name, pictures in sets.items()}
    columns = ['pictures', *(score for score in SCORES if score != 'energy' or options.network)]
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for draw in range(options.draws):
        training, held_out = halves(cells, draw)
        left = draw % len(cells.classes)
        training = training[cells.labels[training] != left]
        new = held_out[cells.labels[held_out] == left]
        held_out = held_out[cells.labels[held_out] != left]
        known = training_likeness.of_cells(cells, training)
        assert known
        judges = [(partial(of_looks, known=known), training_likeness.DISTANCE_TOLERANCE * known.distance, True)]
        for score in columns[1:]:
            scorer, limit = judge(score, own[training], cells.labels[training], cells.groups[training])
            judges.append((scorer, limit, False))
        zooms = np.isin(some, held_out)
        for scorer, limit, of_pictures in judges:
            mine, theirs = (seen, far) if of_pictures else (own, others)
            base = scorer(take(mine, held_out))
            tested = {'held-out slides': base, 'a class left out': scorer(take(mine, new))}
            for name, rows in theirs.items():
                tested[name] = scorer(take(rows, np.flatnonzero(zooms)) if name.startswith('zoomed') else rows)
            for name, scores in tested.items():
                truth = np.repeat([0, 1], [len(base), len(scores)])
                area = roc_auc_score(truth, np.concatenate([base, scores]))
                found.setdefault(name, [[] for _ in range(options.draws)])[draw].append((area, np.mean(scores > limit)))
    print(f'{len(cells)} cells of {len(cells.group_names)} slides, {options.draws} draws of half of the slides, '
          f'{options.network or options.system}: {own.shape[1]} features\n')  # fmt: skip
    print(f'| pictures | number | {" | ".join(columns)} |')
    print('|---' * (2 + len(columns)) + '|')
    for name, values in found.items():
        number = str(len(sets[name])) if name in sets else 'of the other half'
        means = [f'{area:.2f}, {share:.0%}' for area, share in np.mean(values, axis=0)]
        print(f'| {name} | {number} | {" | ".join(means)} |')
    print(f'\n{time.monotonic() - began:.0f} s')


def thinned(index: np.ndarray) -> np.ndarray:
    """At most MOST of them, evenly."""
    return index[np.unique(np.linspace(0, len(index) - 1, min(MOST, len(index))).astype(int))]


def natural() -> np.ndarray:
    """Squares of photographs of no cells."""
    from skimage import data

    photographs = [*load_sample_images().images, data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    squares = []
    for pixels in photographs:
        picture = Image.fromarray(pixels)
        for top in range(0, picture.height - SIDE + 1, SIDE // 2):
            for left in range(0, picture.width - SIDE + 1, SIDE // 2):
                squares.append(resized(picture.crop((left, top, left + SIDE, top + SIDE))))
    return np.stack(squares)


def of_system(name: str):
    """The function from pictures to the measurements of a classical system."""
    return lambda images: extraction.rows(SYSTEMS[name](), images, cache.folder('baselines')).values


def of_network(name: str):
    """The function from pictures to the features of a network with its published weights."""
    folder = weight_cache.obtain(name, '')
    variables, body, place = (
        model_folder.read_variables(folder),
        NetworkSpec(name, {}).create(0),
        cache.folder('features'),
    )
    about = {'averaged': True}
    return lambda images: frozen_features.features(body, variables, about, images, 32, place).astype(float)


def judge(score: str, features: np.ndarray, labels: np.ndarray, groups: np.ndarray):
    """The function from features to a score, and its limit by training slides that are left out in turn."""
    if score != 'energy':
        known = feature_likeness.reference(score, features, labels)
        limit = feature_likeness.limit(feature_likeness.left_out_scores(score, features, labels, groups))
        return partial(feature_likeness.scores, score, known), limit

    def fitted(rows: np.ndarray, its: np.ndarray):
        mean, deviation = rows.mean(0), rows.std(0) + 1e-9
        model = LogisticRegression(C=0.01, max_iter=300).fit((rows - mean) / deviation, its)
        return lambda new: feature_likeness.scores('energy', None, model.decision_function((new - mean) / deviation))

    number, left_out = np.unique(groups, return_inverse=True)[1] % 5, np.zeros(len(labels))
    for part in range(5):
        out = number == part
        left_out[out] = fitted(features[~out], labels[~out])(features[out])
    return fitted(features, labels), feature_likeness.limit(left_out)


def of_looks(rows: list, known) -> np.ndarray:
    """The distance of the seven measurements, as `alljax predict` takes it."""
    normal = training_likeness._Normal(*map(np.array, (known.mean, known.deviation, known.inverse_correlation)))
    scaled = [training_likeness._scaled(row) for row in rows]
    return np.array([normal.distance(np.array([getattr(row, n) for n in known.measurements])) for row in scaled])


def take(rows, index: np.ndarray):
    """Those at `index` of a list or an array."""
    return rows[index] if isinstance(rows, np.ndarray) else [rows[place] for place in index]


if __name__ == '__main__':
    main()
