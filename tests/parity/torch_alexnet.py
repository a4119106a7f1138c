"""torchvision's AlexNet with the paper's head, and our parameters in it."""

import jax
import numpy as np
import torch
import torchvision

LAYERS = {
    'conv1': 'features.0', 'conv2': 'features.3', 'conv3': 'features.6', 'conv4': 'features.8', 'conv5': 'features.10',
    'fc6': 'classifier.1', 'fc7': 'classifier.4', 'hidden': 'classifier.6.0', 'logits': 'classifier.6.2',
}  # fmt: skip


def create(classes, dropout=0.5):
    """The module, with random weights."""
    net = torchvision.models.alexnet(dropout=dropout)
    net.classifier[6] = torch.nn.Sequential(
        torch.nn.Linear(4096, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, classes)
    )
    return net


def narrow(net):
    """A quarter of the channels of all layers but the last ones."""
    for place, module in list(net.named_modules()):
        if isinstance(module, torch.nn.Conv2d):
            sizes = max(3, module.in_channels // 4), module.out_channels // 4, module.kernel_size
            net.set_submodule(place, torch.nn.Conv2d(*sizes, module.stride, module.padding))
        elif isinstance(module, torch.nn.Linear) and not place.startswith('classifier.6.2'):
            last = place.startswith('classifier.6')
            width = module.out_features if last else module.out_features // 4
            net.set_submodule(place, torch.nn.Linear(module.in_features // 4, width))
    return net


def with_params(params, dropout=0.5):
    """The module with our params, of the width that they have; others are not drawn before, which takes seconds."""
    with torch.device('meta'):
        net = create(len(params['head']['logits']['bias']), dropout)
        net = net if len(params['conv1']['bias']) == 64 else narrow(net)
    net.load_state_dict(to_torch(params), assign=True)
    return net


def random_params(model):
    """Params of our network by He's rule, with random biases."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        scale = (2 / np.prod(leaf.shape[:-1])) ** 0.5 if leaf.ndim > 1 else 0.1
        return np.float32(scale) * rng.standard_normal(leaf.shape, np.float32)

    return jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0))['params'])


def to_torch(params):
    """Our params tree, or its gradient, under torchvision's names."""
    params = jax.tree.map(np.asarray, {**{k: v for k, v in params.items() if k != 'head'}, **params['head']})
    state = {}
    for ours, theirs in LAYERS.items():
        kernel = params[ours]['kernel']
        if ours == 'fc6':  # their features come channel by channel
            kernel = kernel.reshape(6, 6, -1, kernel.shape[-1]).transpose(2, 0, 1, 3).reshape(kernel.shape)
        state[f'{theirs}.weight'] = torch.tensor(kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T.copy())
        state[f'{theirs}.bias'] = torch.tensor(params[ours]['bias'])
    return state


def to_nchw(image):
    """NHWC to a tensor of NCHW."""
    return torch.tensor(np.asarray(image)).permute(0, 3, 1, 2).contiguous()
