"""Fitted classifiers on disk: the same predictions, and nothing runs when a file is read."""

import pickle
import zipfile
from functools import cache

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from alljax.baselines import classifier_file, model_selection
from alljax.baselines.classify import CLASSIFIERS
from alljax.baselines.classify.estimators import Vote
from alljax.baselines.systems import System
from alljax.errors import UserError


@cache
def fitted(*names, hierarchical=False):
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 4
    values = rng.normal(size=(48, 5))
    values[np.arange(48), labels] += 3
    system = System('otsu', ('glcm',), names, hierarchical=hierarchical)
    return model_selection.fitted(
        system, values, labels, np.arange(48) // 4, ('L1', 'L2', 'L3', 'normal'), 0
    ).estimator, values


@pytest.mark.parametrize(
    'names',
    [
        *[(name,) for name in CLASSIFIERS if name != 'vote'],
        pytest.param(('vote',), marks=pytest.mark.slow),  # a forest of many trees
        pytest.param(('svm', 'knn', 'anfis', 'pnn'), marks=pytest.mark.slow),
    ],
)
def test_what_is_read_predicts_the_same(names, tmp_path):
    estimator, values = fitted(*names, hierarchical=len(names) > 1)
    classifier_file.write(tmp_path / 'one.skops', estimator)
    np.testing.assert_array_equal(
        classifier_file.read(tmp_path / 'one.skops').predict_proba(values), estimator.predict_proba(values)
    )
    with zipfile.ZipFile(tmp_path / 'one.skops') as file:
        assert not any(name.endswith(('.pkl', '.pickle')) for name in file.namelist())


def test_a_file_that_could_run_code_is_refused_by_name(tmp_path):
    skops.io.dump(FunctionTransformer(print), tmp_path / 'evil.skops')
    with pytest.raises(UserError, match=r'evil.skops: holds builtins.print, which no alljax run writes'):
        classifier_file.read(tmp_path / 'evil.skops')


class Evil:
    def __reduce__(self):
        return (pytest.fail, ('the file was run',))


def test_a_pickle_and_a_damaged_file_are_told(tmp_path):
    (tmp_path / 'pickle.skops').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match='the model is damaged: train it again'):
        classifier_file.read(tmp_path / 'pickle.skops')
    classifier_file.write(tmp_path / 'cut.skops', LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    whole = (tmp_path / 'cut.skops').read_bytes()
    for length in (0, 20, len(whole) // 2, len(whole) - 5):
        (tmp_path / 'cut.skops').write_bytes(whole[:length])
        with pytest.raises(UserError, match='damaged'):
            classifier_file.read(tmp_path / 'cut.skops')


def test_a_tree_that_leads_nowhere_is_refused(tmp_path):
    vote = Vote([('forest', RandomForestClassifier(3, random_state=0))])
    estimator = make_pipeline(StandardScaler(), vote).fit(np.eye(4), np.arange(4))
    tree = estimator[-1].estimators_[0].estimators_[0].tree_
    state = tree.__getstate__()
    state['nodes']['left_child'][0] = 10_000
    tree.__setstate__(state)
    classifier_file.write(tmp_path / 'tree.skops', estimator)
    with pytest.raises(UserError, match='leads nowhere'):
        classifier_file.read(tmp_path / 'tree.skops')


class Mine(LogisticRegression):
    pass


def test_a_classifier_of_the_user_s_own_is_refused_in_words_before_it_is_kept(tmp_path):
    with pytest.raises(UserError, match=r'holds .*test_classifier_file.Mine, .* build one of your own from'):
        classifier_file.write(tmp_path / 'mine.skops', Mine().fit([[0.0], [1.0]], [0, 1]))
    assert not list(tmp_path.iterdir())
