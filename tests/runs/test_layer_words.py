"""Layers in words, for the names of every family; a layer that is the last of its network is called so."""

import pytest

from alljax.runs.layer_words import in_words

MAP = (1, 13, 13, 256)
SIZE = '13 × 13 positions, 256 channels'


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('conv5', 'convolution 5'),  # AlexNet
        ('conv5_2', 'convolution 2 of stage 5'),  # VGG
        ('norm5_3', 'normalization 3 of stage 5'),
        ('layer4_0/conv2', 'convolution 2 of residual block 1 of stage 4'),  # ResNet
        ('layer4_2', 'residual block 3 of stage 4'),
        ('denseblock4_layer16/norm1', 'normalization 1 of layer 16 of dense block 4'),
        ('inception5b', 'inception block 5b'),  # GoogLeNet
        ('inception5b/branch4_1/conv', 'the convolution of branch 4_1 of inception block 5b'),
        ('Mixed_7c', 'inception block 7c'),  # Inception-v3
        ('Conv2d_1a_3x3/conv', 'convolution 1a'),
        ('fire9/expand3x3', 'the 3 × 3 convolution of fire block 9'),  # SqueezeNet
        ('block1/depthwise/conv', 'the depthwise convolution of block 1'),  # MobileNet
        ('stage1_0/depthwise/bn', 'the normalization of the depthwise convolution of block 1 of stage 1'),
        ('stage4_2', 'block 3 of stage 4'),  # ConvNeXt
        ('last/conv', 'the last convolution'),  # EfficientNet
        ('stem', 'the first convolution'),
        ('fc6', 'fully connected layer 6'),
        ('head/hidden', 'the hidden layer of the head'),
        ('head/logits', 'the last layer of the head'),
        ('Conv_0', 'convolution 1'),  # of a network of one's own
    ],
)
def test_a_name_of_each_family(name, words):
    assert in_words(name) == f'{words} ({name})'


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('conv5', 'the last convolution'), ('conv5_2', 'the last convolution'), ('norm5', 'the last normalization'),
        ('layer4_1', 'the last residual block'), ('stage4_2', 'the last block'), ('last', 'the last convolution'),
        ('Mixed_7c', 'the last inception block'), ('fire9', 'the last fire block'), ('norm', 'the last normalization'),
    ],
)  # fmt: skip
def test_the_last_layer_of_a_network_with_its_size(name, words):
    assert in_words(name, MAP, last=True) == f'{words}, {SIZE} ({name})'


def test_tokens_and_values_have_sizes_of_their_own():
    assert in_words('block11', (1, 197, 768)) == 'transformer block 12, 197 tokens, 768 features (block11)'
    assert in_words('fc7', (1, 4096)) == 'fully connected layer 7, 4,096 values (fc7)'


def test_an_unknown_name_stays_as_it_is():
    assert in_words('mine/layerX', MAP, last=True) == f'layer mine/layerX, {SIZE}'
