"""One rule table a family: source name → target name and transform."""

from alljax.errors import UserError
from alljax.models import MODELS
from alljax.models import convnext as convnexts
from alljax.models import densenet as densenets
from alljax.models import dino_vit as dino_vits
from alljax.models import efficientnet as efficientnets
from alljax.models import efficientnet_lite as efficientnet_lites
from alljax.models import mobilenet as mobilenets
from alljax.models import resnet as resnets
from alljax.models import squeezenet as squeezenets
from alljax.models import swin_v2 as swin_v2s
from alljax.models import vgg as vggs
from alljax.models import vit as vits
from alljax.weights.rules import (
    alexnet,
    alexnet_bvlc,
    convnext,
    convnext_v2,
    densenet,
    dino_vit,
    efficientnet,
    efficientnet_lite,
    googlenet,
    inception,
    mobilenet,
    resnet,
    squeezenet,
    swin_v2,
    vgg,
    vit,
)
from alljax.weights.rules.rule import Rule

__all__ = ['TABLES', 'Rule', 'table']

Table = tuple[Rule, ...]

TABLES: dict[str, Table] = {
    'alexnet': alexnet.RULES,
    'alexnet_bvlc': alexnet_bvlc.RULES,
    **{name: vgg.rules(name) for name in vggs.NETWORKS},
    **dict.fromkeys(resnets.NETWORKS, resnet.RULES),
    **{name: squeezenet.rules(name) for name in squeezenets.NETWORKS},
    **dict.fromkeys(densenets.NETWORKS, densenet.RULES),
    **{name: mobilenet.rules(name) for name in mobilenets.NETWORKS},
    **{name: efficientnet.rules(name) for name in efficientnets.NETWORKS},
    **{name: efficientnet_lite.rules(name) for name in efficientnet_lites.NETWORKS},
    'googlenet': googlenet.RULES,
    'inception_v3': inception.RULES,
    **dict.fromkeys(convnexts.NETWORKS, convnext.RULES),
    **dict.fromkeys(convnexts.V2_NETWORKS, convnext_v2.RULES),
    **dict.fromkeys(swin_v2s.NETWORKS, swin_v2.RULES),
    **dict.fromkeys(vits.NETWORKS, vit.RULES),
    **dict.fromkeys(dino_vits.NETWORKS, dino_vit.rules(side=16)),  # 224 pixels in patches of 14
}


def table(name: str) -> Table:
    """The rules of a network; UserError if no published weights are known for it."""
    if name not in TABLES:
        known = 'is your own' if name in MODELS else 'is no network of alljax'
        raise UserError(f'{name}: {known}, so no rules are known that convert weights for it; start from random ones')
    return TABLES[name]
