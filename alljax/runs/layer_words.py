"""Layers in words: what a name such as layer4_1/conv2 stands for, and the size of what the layer gives."""

import re
from collections.abc import Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of layer, known by a part of its name."""

    form: str  # a pattern, whose group `n` is a number and `zero` one that is counted from 0
    words: str
    number: str = '{n}'  # what follows the words


OF_STAGE = '{n} of stage {stage}'
KINDS = (  # the first whose form fits counts
    Kind(r'conv(?P<stage>\d+)_(?P<n>\d+)', 'convolution', OF_STAGE),  # VGG
    Kind(r'norm(?P<stage>\d+)_(?P<n>\d+)', 'normalization', OF_STAGE),
    Kind(r'conv(?P<n>\d*)', 'convolution'),
    Kind(r'(?:bn|norm)(?P<n>\d*)', 'normalization'),
    Kind(r'layer(?P<stage>\d+)_(?P<zero>\d+)', 'residual block', OF_STAGE),  # ResNet
    Kind(r'stage(?P<stage>\d+)_(?P<zero>\d+)', 'block', OF_STAGE),  # EfficientNet, ConvNeXt, Swin
    Kind(r'denseblock(?P<stage>\d+)_layer(?P<n>\d+)', 'layer', '{n} of dense block {stage}'),
    Kind(r'(?:inception|Mixed_)(?P<n>\w+)', 'inception block'),
    Kind(r'Conv2d_(?P<n>\d\w)_\w+', 'convolution'),  # Inception-v3
    Kind(r'branch_?(?P<n>\w+)', 'branch'),
    Kind(r'fire(?P<n>\d+)', 'fire block'),
    Kind(r'block(?P<n>\d+)', 'block'),  # MobileNet
    Kind(r'fc(?P<n>\d*)', 'fully connected layer'),
    Kind(r'last', 'last convolution'),
    Kind(r'stem|patches', 'first convolution'),
    Kind(r'stem_norm', 'first normalization'),
    Kind(r'depthwise', 'depthwise convolution'),
    Kind(r'fused', 'convolution'),
    Kind(r'squeeze', 'squeezing convolution'),
    Kind(r'expand1x1', '1 × 1 convolution'),
    Kind(r'expand3x3', '3 × 3 convolution'),
    Kind(r'expand', 'expansion'),
    Kind(r'project', 'projection'),
    Kind(r'attention', 'attention'),
    Kind(r'head', 'head'),
    Kind(r'hidden', 'hidden layer'),
    Kind(r'logits', 'last layer'),
    Kind(r'Conv_(?P<zero>\d+)', 'convolution'),  # as linen names layers by itself
    Kind(r'Dense_(?P<zero>\d+)', 'fully connected layer'),
    Kind(r'(?:Batch|Layer|Group)Norm_(?P<zero>\d+)', 'normalization'),
)
TOKENS = Kind(r'block(?P<zero>\d+)', 'transformer block')  # of a network that goes on with tokens


def in_words(name: str, shape: Sequence[int] = (), *, last: bool = False) -> str:
    """A layer as a reader knows it: 'the last convolution, 13 × 13 positions, 256 channels (conv5)'.

    `shape` is that of what it gives, with the images first; () where it does not matter. `last` is said of the last
    layer before the head. A name of which no part is known stays as it is.
    """
    found = [_kind(part, tokens=len(shape) == 3) for part in name.split('/')]
    known = [(kind, numbers) for kind, numbers in found if kind]
    if len(known) < len(found):
        return ', '.join([f'layer {name}', *_size(shape)])
    if len(known) > 1 and known[-1][0].words == 'convolution' and known[-2][0].words.endswith('convolution'):
        known.pop()  # a convolution with its normalization is called as the convolution in it
    said = ' of '.join(_words(*one) for one in reversed(known))
    if last and len(known) == 1:
        said = f'the last {known[0][0].words.removeprefix("last ")}'
    return f'{", ".join([said, *_size(shape)])} ({name})'


def _kind(part: str, tokens: bool) -> tuple[Kind | None, dict[str, str]]:
    """The kind of a part of a name, and its numbers; None for one that is not known."""
    for kind in (*[TOKENS] * tokens, *KINDS):
        if found := re.fullmatch(kind.form, part):
            numbers = {name: value for name, value in found.groupdict().items() if value}
            if 'zero' in numbers:
                numbers['n'] = str(int(numbers['zero']) + 1)
            return kind, numbers
    return None, {}


def _words(kind: Kind, numbers: dict[str, str]) -> str:
    return f'{kind.words} {kind.number.format(**numbers)}' if 'n' in numbers else f'the {kind.words}'


def _size(shape: Sequence[int]) -> list[str]:
    """The size of what a layer gives for one image, in words."""
    if len(shape) == 4:
        return [f'{shape[1]} × {shape[2]} positions', f'{shape[3]:,} channels']
    if len(shape) == 3:
        return [f'{shape[1]:,} tokens', f'{shape[2]:,} features']
    return [f'{shape[1]:,} values'] if len(shape) == 2 else []
