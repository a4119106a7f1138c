"""One rule table a family: source name → target name and transform."""

from alljax.errors import UserError
from alljax.models import MODELS
from alljax.models import resnet as resnets
from alljax.models import vgg as vggs
from alljax.weights.rules import alexnet, resnet, vgg
from alljax.weights.rules.rule import Rule

__all__ = ['TABLES', 'Rule', 'table']

Table = tuple[Rule, ...]

TABLES: dict[str, Table] = {
    'alexnet': alexnet.RULES,
    **{name: vgg.rules(name) for name in vggs.NETWORKS},
    **dict.fromkeys(resnets.NETWORKS, resnet.RULES),
}


def table(name: str) -> Table:
    """The rules of a network; UserError if no published weights are known for it."""
    if name not in TABLES:
        known = 'is your own' if name in MODELS else 'is no network of alljax'
        raise UserError(f'{name}: {known}, so no rules are known that convert weights for it; start from random ones')
    return TABLES[name]
