"""torchvision's ViT, whose published files have the older names linear_1 and linear_2 for a block's layers 0 and 3."""

import numpy as np

from alljax.weights.rules.rule import Rule, convolution, dense, layer_norm

BLOCK = r'encoder\.layers\.encoder_layer_(\d+)'

RULES = (
    *convolution('conv_proj', 'patches'),
    Rule('class_token', 'params/class_token'),
    Rule(r'encoder\.pos_embedding', 'params/position'),
    *layer_norm(rf'{BLOCK}\.ln_([12])', r'block\1/norm\2'),
    Rule(rf'{BLOCK}\.self_attention\.in_proj_weight', r'params/block\1/attention/in/kernel', np.transpose),
    Rule(rf'{BLOCK}\.self_attention\.in_proj_bias', r'params/block\1/attention/in/bias'),
    *dense(rf'{BLOCK}\.self_attention\.out_proj', r'block\1/attention/out'),
    *dense(rf'{BLOCK}\.mlp\.(?:0|linear_1)', r'block\1/expand'),
    *dense(rf'{BLOCK}\.mlp\.(?:3|linear_2)', r'block\1/project'),
    *layer_norm(r'encoder\.ln', 'norm'),
    *dense(r'heads\.head', 'head/logits'),
)
