"""Calibration and pictures unlike the training cells: Laplace's predictions beside plain softmax and a temperature.

    python tests/benchmarks/uncertainty.py CELLS --other DIR ... [--draws 1] [--network efficientnet_lite0]

CELLS is a folder of class folders whose cells.csv names slides; each of five folds of slides is tested in turn, in each
of the draws, after training on the others. The network is frozen, with its published weights; its features,
standardized by the training cells, go through a hidden layer of 64 rectifiers. Weight decay and temperature are chosen
on training slides that are left out in turn, the prior's precision of each posterior by its marginal likelihood on the
training cells: nothing is seen of the tested slides or of other sets. An AUROC is the chance that the prediction of a
picture of the set has a higher entropy than that of a tested cell. All numbers are means over the folds; the last line
is the standard deviation over them of what K-FAC has above plain softmax.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from feature_likeness import natural, of_network, thinned
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from training_likeness import read

from alljax import gradients
from alljax.evaluation import calibration, metrics

DECAYS, FOLDS, PARTS, STEPS, WIDTH = (1e-3, 1e-2, 1e-1), 5, 3, 300, 64
cross_entropy = optax.softmax_cross_entropy_with_integer_labels


class Head(nn.Module):
    """A hidden layer and the logits."""

    classes: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.classes, name='logits')(nn.relu(nn.Dense(WIDTH, name='hidden')(x)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument('cells', type=Path)
    parser.add_argument('--other', type=Path, nargs='*', default=[])
    parser.add_argument('--draws', type=int, default=1)
    parser.add_argument('--network', default='efficientnet_lite0')
    options = parser.parse_args()
    began = time.process_time()
    cells, measure = read(options.cells), of_network(options.network)
    sets = {f'another laboratory ({folder.name})': read(folder).images for folder in options.other}
    sets['natural pictures'] = natural()
    own = measure(cells.images)
    others = {name: measure(pictures[thinned(np.arange(len(pictures)))]) for name, pictures in sets.items()}
    head, found = Head(len(cells.classes)), {}
    splits = [
        (draw, *fold) for draw in range(options.draws) for fold in
        StratifiedGroupKFold(FOLDS, shuffle=True, random_state=draw).split(own, cells.labels, cells.groups)
    ]  # fmt: skip
    for draw, training, held_out in splits:
        mean, deviation = own[training].mean(0), own[training].std(0) + 1e-6
        rows = {name: jnp.asarray((part - mean) / deviation, jnp.float32) for name, part in
                {'training': own[training], 'tested': own[held_out], **others}.items()}  # fmt: skip
        said = predictions(head, rows, jnp.asarray(cells.labels[training]), cells.groups[training], draw)
        for method, chances in said.items():
            found.setdefault(method, []).append(judged(chances, cells.labels[held_out]))
    print(f'{len(cells)} cells of {len(cells.group_names)} slides, {len(splits)} folds of them, {options.network}: '
          f'{own.shape[1]} features, {time.process_time() - began:.0f} s of processor time\n')  # fmt: skip
    areas = [f'AUROC of {name}, {len(rows)}' for name, rows in others.items()]
    names = ['accuracy', 'log-loss', 'calibration error', *areas]
    print(f'| prediction | {" | ".join(names)} |')
    print('|---' * (1 + len(names)) + '|')
    plain = np.array(found['softmax'])
    for method, values in found.items():
        print(f'| {method} | {" | ".join(f"{value:.3f}" for value in np.mean(values, 0))} |')
    spread = np.std(np.array(found['Laplace, K-FAC, probit']) - plain, 0, ddof=1)
    print(f'| spread of the difference, K-FAC and softmax | {" | ".join(f"{value:.3f}" for value in spread)} |')


def predictions(head: Head, rows: dict, labels, groups: np.ndarray, draw: int) -> dict:
    """Method → set → probabilities [pictures, classes]; the first set is of the training cells, the second tested."""
    features = rows.pop('training')
    number = np.unique(groups, return_inverse=True)[1] % PARTS
    folds = [(np.flatnonzero(number != part), np.flatnonzero(number == part)) for part in range(PARTS)]
    best, temperature = np.inf, 1.0
    for choice in DECAYS:
        left = np.zeros((len(labels), head.classes))
        for seen, out in folds:
            params = fit(head, features[seen], labels[seen], choice, draw)
            left[out] = jax.nn.softmax(head.apply(params, features[out]))
        loss = calibration.log_loss(left, np.asarray(labels))
        if loss < best:
            best, decay, temperature = loss, choice, calibration.temperature(left, np.asarray(labels))
    params = fit(head, features, labels, decay, draw)
    posterior = partial(gradients.laplace_approximation, head, params, features, labels)
    last = posterior(where='params/logits/.*', structure='full')
    all_of_it = {'K-FAC': posterior(), 'EK-FAC': posterior(corrected=True)}
    key = jax.random.key(draw)

    def of(known, **options):
        said = partial(gradients.laplace_predict, head, params, posterior=known, **options)
        return {name: said(x).probability for name, x in rows.items()}

    plain = {name: jax.nn.softmax(head.apply(params, x)) for name, x in rows.items()}
    return {
        'softmax': plain,
        'softmax, temperature': {name: calibration.tempered(np.asarray(x), temperature) for name, x in plain.items()},
        'Laplace, last layer, probit': of(last),
        'Laplace, last layer, sampled': of(last, rule='sampled', key=key),
        'Laplace, K-FAC, probit': of(all_of_it['K-FAC']),
        'Laplace, K-FAC, sampled': of(all_of_it['K-FAC'], rule='sampled', key=key),
        'Laplace, EK-FAC, probit': of(all_of_it['EK-FAC']),
    }


def fit(head: Head, features, labels, decay: float, seed: int):
    """The head's parameters after Adam's steps on all cells at once."""
    params = head.init(jax.random.key(seed), features[:1])
    return _fitted(head, params, features, labels, decay)


@partial(jax.jit, static_argnums=0)
def _fitted(head: Head, params, features, labels, decay):
    adam = optax.adam(3e-3)

    def loss(params):
        square = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        return cross_entropy(head.apply(params, features), labels).mean() + decay / 2 * square

    def step(_, held):
        params, state = held
        update, state = adam.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, update), state

    return jax.lax.fori_loop(0, STEPS, step, (params, adam.init(params)))[0]


def judged(chances: dict, labels: np.ndarray) -> list[float]:
    """The numbers of a line."""
    tested, *others = (np.asarray(rows, float) for rows in chances.values())
    entropies = [-(rows * np.log(rows + 1e-12)).sum(1) for rows in (tested, *others)]
    areas = [
        roc_auc_score(np.repeat([0, 1], [len(entropies[0]), len(far)]), np.concatenate([entropies[0], far]))
        for far in entropies[1:]
    ]
    right = np.mean(tested.argmax(1) == labels)
    return [right, calibration.log_loss(tested, labels), metrics.calibration_error(labels, tested), *areas]


if __name__ == '__main__':
    main()
