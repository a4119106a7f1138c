"""ViT as DINOv2 (Oquab et al. 2023, arXiv:2304.07193) and DinoBloom (Koch et al. 2024, arXiv:2404.05022) have it.

Patches of 14 pixels, a learned factor on each branch (LayerScale), and registers if asked for (Darcet et al. 2023,
arXiv:2309.16588). The features are the class token after the last norm.
"""

from functools import partial

from alljax.models.network_definition import Input, Network
from alljax.models.vit import ViT

Small = partial(ViT, patch=14, heads=6, layer_scale=1e-5)
Base = partial(Small, heads=12)
# Of 16 by 16 patches, as both publishers evaluate them. `size` of `create` makes others: 518 is that of DINOv2's files.
INPUT = Input(224, interpolation='bicubic')
NETWORKS = {
    'dinov2_vit_s_14': Network(Small, INPUT),
    'dinov2_vit_b_14': Network(Base, INPUT),
    'dinov2_reg4_vit_s_14': Network(partial(Small, registers=4), INPUT),
    'dinov2_reg4_vit_b_14': Network(partial(Base, registers=4), INPUT),
    'dinobloom_s': Network(Small, INPUT._replace(resize=224)),
    'dinobloom_b': Network(Base, INPUT._replace(resize=224)),
}
