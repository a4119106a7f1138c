import ml_dtypes
import numpy as np
import pytest

from alljax.errors import UserError
from alljax.models import MODELS
from alljax.weights.published import all_published
from alljax.weights.rules import TABLES, table
from alljax.weights.rules.rule import Rule, apply_rules, batch_norm, convolution, dense, dense_after_map, without_head

TABLE = (*convolution('conv', 'conv'), *batch_norm('bn', 'bn'), *dense('fc', 'head/logits'))
SOURCE = {
    'conv.weight': np.arange(24.0).reshape(2, 3, 2, 2),
    'bn.weight': np.array([1.0, 2.0]),
    'bn.bias': np.array([3.0, 4.0]),
    'bn.running_mean': np.array([5.0, 6.0]),
    'bn.running_var': np.array([7.0, 8.0]),
    'bn.num_batches_tracked': np.array(9),
    'fc.weight': np.arange(10.0).reshape(5, 2),
    'fc.bias': np.arange(5.0),
}
TARGET = {
    'params/conv/kernel': (2, 2, 3, 2),
    'params/bn/scale': (2,),
    'params/bn/bias': (2,),
    'batch_stats/bn/mean': (2,),
    'batch_stats/bn/var': (2,),
    'params/head/logits/kernel': (2, 5),
    'params/head/logits/bias': (5,),
}


def test_every_leaf_is_filled_from_its_tensor():
    leaves = apply_rules(SOURCE, TABLE, TARGET)
    assert {place: leaf.shape for place, leaf in leaves.items()} == TARGET
    assert all(leaf.dtype == np.float32 for leaf in leaves.values())
    assert leaves['params/conv/kernel'][1, 0, 2, 1] == SOURCE['conv.weight'][1, 2, 1, 0]
    np.testing.assert_array_equal(leaves['params/head/logits/kernel'], SOURCE['fc.weight'].T)
    np.testing.assert_array_equal(leaves['batch_stats/bn/var'], [7, 8])


def test_all_problems_are_told_together():
    source = dict(SOURCE) | {'strange.weight': np.zeros(1), 'fc.bias': np.zeros(7)}
    del source['bn.running_var']
    table = (*TABLE, Rule(r'conv\.weight', 'params/conv/kernel'), Rule(r'bn\.weight|bn2\.weight', 'params/elsewhere'))
    with pytest.raises(UserError) as caught:
        apply_rules(source, table, TARGET)
    said = str(caught.value)
    for text in (
        r'conv.weight matches conv\.weight, conv\.weight; fix the rule table',
        'bn.weight matches',
        'no rule takes strange.weight',
        'fc.bias has shape (7,), which becomes (7,) at params/head/logits/bias, expected (5,)',
        'nothing in the file fills params/conv/kernel, params/bn/scale, batch_stats/bn/var',
    ):
        assert text in said, (text, said)


def test_a_tensor_of_other_axes_is_told():
    with pytest.raises(UserError, match=r'conv.weight has shape \(3,\), which cannot become \(2, 2, 3, 2\)'):
        apply_rules(SOURCE | {'conv.weight': np.zeros(3)}, TABLE, TARGET)


@pytest.mark.parametrize(
    ('name', 'tensor', 'said'),
    [
        (
            'conv.weight',
            np.where(SOURCE['conv.weight'] == 3, np.nan, SOURCE['conv.weight']),
            'holds NaN or infinity, 1 of',
        ),
        ('bn.running_mean', np.array([np.inf, 1]), 'holds NaN or infinity, 1 of its 2 numbers'),
        ('fc.weight', np.full((5, 2), 1e300), 'holds NaN or infinity, 10 of its 10 numbers'),
        ('fc.bias', np.array([1, 2, np.nan, 4, 5], ml_dtypes.bfloat16), 'holds NaN or infinity, 1 of its 5 numbers'),
        ('conv.weight', np.arange(24, dtype=np.int8).reshape(2, 3, 2, 2), 'is int8, expected floating point numbers'),
        ('bn.weight', np.array([True, False]), 'is bool, expected floating point numbers'),
        ('fc.bias', np.arange(5) * 1j, 'is complex128, expected floating point numbers'),
        ('bn.running_var', np.array([1, -1.0]), 'goes down to -1.0, and a variance cannot be negative'),
    ],
)
def test_numbers_that_no_network_computes_with_are_told_by_tensor(name, tensor, said):
    with pytest.raises(UserError) as caught:
        apply_rules(SOURCE | {name: tensor}, TABLE, TARGET)
    assert f'{name} {said}' in str(caught.value)


def test_half_precision_is_read_and_counts_may_be_integers():
    half = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in SOURCE.items() if tensor.ndim}
    leaves = apply_rules(half | {'bn.num_batches_tracked': np.array(9)}, TABLE, TARGET)
    assert all(leaf.dtype == np.float32 for leaf in leaves.values())


def test_a_file_without_the_last_layers_is_no_other_network():
    source = {name: tensor for name, tensor in SOURCE.items() if not name.startswith('fc')}
    with pytest.raises(UserError, match=r'fills params/head/logits/kernel.*; it has no last layers .*--without-head'):
        apply_rules(source, TABLE, TARGET)


def test_a_leaf_that_two_tensors_fill_is_told():
    twice = [Rule(r'bn\.weight', 'params/bn/bias') if rule.source == r'bn\.weight' else rule for rule in TABLE]
    with pytest.raises(UserError, match=r'params/bn/bias is filled by bn.weight, bn.bias, expected one tensor'):
        apply_rules(SOURCE, twice, TARGET)


def test_a_tensor_without_a_place_is_told():
    target = {place: shape for place, shape in TARGET.items() if 'logits' not in place}
    with pytest.raises(UserError, match=r'no place for fc.weight \(for params/head/logits/kernel\)'):
        apply_rules(SOURCE, TABLE, target)


def test_the_head_is_dropped_by_rule_only():
    target = {place: shape for place, shape in TARGET.items() if 'logits' not in place}
    assert set(apply_rules(SOURCE, without_head(TABLE), target)) == set(target)


def test_features_of_a_map_are_reordered():
    weight = np.arange(2 * 3 * 4.0).reshape(2, 12)  # two outputs of a map of 2×2 with three channels
    rule = dense_after_map('fc', 'fc', 2)[0]
    for output in range(2):
        theirs = weight[output].reshape(3, 2, 2)
        np.testing.assert_array_equal(rule.transform(weight)[:, output], theirs.transpose(1, 2, 0).reshape(-1))
    assert rule.transform(np.zeros((2, 5))).shape == (5, 2)  # of another size: `apply_rules` says so


def test_every_network_has_a_table_and_every_published_file_a_network():
    assert set(TABLES) == set(MODELS)
    assert {row.network for row in all_published()} <= set(MODELS)
    with pytest.raises(UserError, match='is no network of alljax'):
        table('nonet')
