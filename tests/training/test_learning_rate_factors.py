import pytest

from alljax.errors import UserError
from alljax.models.trees import flatten, unflatten
from alljax.training.learning_rate_factors import factors

NAMES = ['conv1/kernel', 'conv1/bias', 'fc6/kernel', 'head/logits/kernel']


def test_first_match_wins_and_freeze_wins_over_all():
    found = factors(NAMES, [('head/.*', 20.0), ('.*', 1.0)], 'conv.*')
    assert found == {'conv1/kernel': 0, 'conv1/bias': 0, 'fc6/kernel': 1, 'head/logits/kernel': 20}


def test_all_problems_are_told_together():
    with pytest.raises(UserError) as caught:
        factors(NAMES, [('head/.*', 20.0), ('fc9/.*', 1.0)], 'pool.*')
    said = str(caught.value)
    assert 'no pattern matches conv1/kernel, conv1/bias, fc6/kernel' in said
    assert "'fc9/.*' matches none" in said
    assert "'pool.*' matches none" in said


def test_nothing_to_train_and_broken_patterns_are_told():
    with pytest.raises(UserError, match='leave no parameter to train'):
        factors(NAMES, [('.*', 1.0)], '.*')
    with pytest.raises(UserError, match='no regular expression'):
        factors(NAMES, [('(', 1.0)], '')


def test_flatten_and_back():
    tree = {'a': {'b': 1, 'c': {'d': 2}}}
    assert flatten(tree) == {'a/b': 1, 'a/c/d': 2}
    assert unflatten(flatten(tree)) == tree
