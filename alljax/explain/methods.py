"""The methods by name: of a network, images and targets each gives one map an image, at the size of the input."""

import logging
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax import gradients
from alljax.explain import calibrated
from alljax.gradients.attention_maps import has_attention
from alljax.gradients.gradient_attribution import large_gaps
from alljax.gradients.guided_backpropagation import RULES, with_rule
from alljax.models import Model, Variables
from alljax.runs import map_layer

log = logging.getLogger(__name__)

Pixels = Float[Array, 'batch size size']


class Options(NamedTuple):
    """The settings that a method may need beside network, images and targets."""

    layer: str  # whose map the CAMs take; '' if the network has none
    batch_size: int  # images at once, whether changed, noisy or as they are
    rectified: bool = False  # the network goes on with what is above zero of the layer
    temperature: float = 1.0  # of a calibrated model, whose logits are divided by it before they are probabilities


class Method(NamedTuple):
    """A function (model, variables, x, target, options) to maps, and how to read them."""

    function: Callable[[Model, Variables, Array, Array, Options], Pixels]
    title: str
    signed: bool  # below zero speaks against the class
    reading: str  # one sentence for the page
    needs: str = ''  # 'map': of a layer, or tokens; 'rectifiers' or 'attention': in the network


def _saliency(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    return _strongest(gradients.saliency(model, variables, x, target, batch_size=options.batch_size))


def _input(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    found = gradients.saliency(model, variables, x, target, times_input=True, batch_size=options.batch_size)
    return found.map.sum(3)


def _integrated(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', gradients.CompletenessWarning)  # it speaks of steps, of which there is no flag
        found = gradients.integrated_gradients(model, variables, x, target, batch_size=options.batch_size)
    large = int(large_gaps(found).sum())
    if large:
        log.warning(
            'integrated gradients of %d of %d cells miss the change of the logit by more than 5 %%: their maps show '
            'where, not how much', large, len(x),
        )  # fmt: skip
    return found.map.sum(3)


def _smooth(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    method = gradients.smoothgrad(gradients.saliency, key=jax.random.key(0))  # the same call gives the same page
    return _strongest(method(model, variables, x, target, batch_size=options.batch_size))


def _rectified(rule: Any) -> Callable[[Model, Variables, Array, Array, Options], Pixels]:
    def method(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
        return _strongest(
            gradients.guided_backprop(model, variables, x, target, rule=rule, batch_size=options.batch_size)
        )

    return method


def _cam(kind: Any) -> Callable[[Model, Variables, Array, Array, Options], Pixels]:
    def method(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
        apply = map_layer.rectifying(model.apply, options.layer) if options.rectified else model.apply
        found = gradients.grad_cam(
            apply, variables, x, target, layer=options.layer, kind=kind, batch_size=options.batch_size
        )
        return gradients.resize_map(found.map, x.shape[1])

    return method


def _channels(method: Any) -> Callable[[Model, Variables, Array, Array, Options], Pixels]:
    def of_layer(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
        apply = map_layer.rectifying(model.apply, options.layer) if options.rectified else model.apply
        found = method(apply, variables, x, target, layer=options.layer, batch_size=options.batch_size)
        return gradients.resize_map(found.map, x.shape[1])

    return of_layer


def _attention(method: Any) -> Callable[[Model, Variables, Array, Array, Options], Pixels]:
    def of_patches(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
        found = method(model, variables, x, target, batch_size=options.batch_size)
        return gradients.resize_map(found.map, x.shape[1])

    return of_patches


def _deep_lift(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    return gradients.deep_lift(model, variables, x, target, batch_size=options.batch_size).map.sum(3)


def _superpixels(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    return gradients.superpixel_ablation(model, variables, x, target, batch_size=options.batch_size).map


def _occlusion(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    window = max(2, x.shape[1] // 8)
    return gradients.occlusion(
        model, variables, x, target, window=window, stride=window // 2, batch_size=options.batch_size
    ).map


def _rise(model: Model, variables: Variables, x: Array, target: Array, options: Options) -> Pixels:
    found = gradients.rise(
        calibrated.divided(model.apply, options.temperature),
        variables,
        x,
        target,
        key=jax.random.key(0),
        masks=500,
        batch_size=options.batch_size,
    ).map
    return found - found.min((1, 2), keepdims=True)  # what every pixel has in common tells none from another


def _strongest(gradient: gradients.Attribution) -> Pixels:
    return jnp.abs(gradient.map).max(3)  # as Simonyan et al. show it


# Name → method; one of your own joins by `METHODS['mine'] = Method(mine, 'Mine', False, 'what a high value says.')`.
METHODS: dict[str, Method] = {
    'gradcam': Method(_cam('gradcam'), 'Grad-CAM', False, 'where the channels of the layer that raise the class on the '
                      'whole are active; as coarse as the layer’s map.', 'map'),
    'gradcam++': Method(_cam('gradcam++'), 'Grad-CAM++', False, 'as Grad-CAM, but a channel counts by its positive '
                        'gradients, so several places can share the mark.', 'map'),
    'layercam': Method(_cam('layercam'), 'LayerCAM', False, 'as Grad-CAM, but each position of the map is weighted by '
                       'its own gradient, so finer places show.', 'map'),
    'hirescam': Method(_cam('hirescam'), 'HiResCAM', False, 'as Grad-CAM, but each position is weighted by its own '
                       'gradient of either sign, so what is marked adds to the logit at once.', 'map'),
    'scorecam': Method(_channels(gradients.score_cam), 'Score-CAM', False, 'where the channels are active that, as a '
                       'stencil over the cell, let the class through; without gradients.', 'map'),
    'ablationcam': Method(_channels(gradients.ablation_cam), 'Ablation-CAM', False, 'where the channels are active '
                          'without which the logit falls most; without gradients.', 'map'),
    'eigencam': Method(_channels(gradients.eigen_cam), 'Eigen-CAM', False, 'where the layer differs most from its own '
                       'mean, whatever the class.', 'map'),
    'attention': Method(_attention(gradients.gradient_attention), 'Gradient-weighted attention', False, 'which patches '
                        'the class token attends to, through all layers, where that raises the class.', 'attention'),
    'rollout': Method(_attention(gradients.attention_rollout), 'Attention rollout', False, 'which patches the class '
                      'token attends to, through all layers, whatever the class.', 'attention'),
    'integrated': Method(_integrated, 'Integrated gradients', True, 'how much each pixel adds to the class’s logit on '
                         'the way from an even mean color to the cell; all pixels sum up to the whole change.'),
    'smooth': Method(_smooth, 'SmoothGrad', False, 'how much a small change of a pixel would move the logit, either '
                     'way, as a mean over 32 noisy copies of the cell.'),
    'saliency': Method(_saliency, 'Saliency', False, 'how much a small change of a pixel would move the logit, either '
                       'way; noisy, as the gradient of a single point is.'),
    'input': Method(_input, 'Input × gradient', True, 'what each pixel adds to the logit if the network were linear '
                    'around this cell.'),
    'deeplift': Method(_deep_lift, 'DeepLIFT', True, 'what each pixel adds to the class’s logit, compared with an even '
                       'mean color; all pixels sum up to the whole change.'),
    'superpixels': Method(_superpixels, 'Superpixel ablation', True, 'how far the logit falls when the piece of even '
                          'color that the pixel belongs to is painted over in the mean color.'),
    'occlusion': Method(_occlusion, 'Occlusion', True, 'how far the logit falls when a square around the pixel is '
                        'painted over in an even mean color; blue where hiding helps the class.'),
    'rise': Method(_rise, 'RISE', False, 'how probable the class is on average in 500 half-hidden copies that show '
                   'the pixel, above the pixel where that is least.'),
    'guided': Method(_rectified('guided'), 'Guided backpropagation', False, 'edges of the cell, nearly regardless of '
                     'the network’s weights: not what the decision rests on.', 'rectifiers'),
    'deconv': Method(_rectified('deconv'), 'Deconvolution', False, 'edges of the cell, nearly regardless of the '
                     'network’s weights: not what the decision rests on.', 'rectifiers'),
}  # fmt: skip
DEFAULT = ('gradcam', 'integrated', 'smooth')


def default_methods(model: Model, variables: Variables) -> list[str]:
    """The methods that are drawn where none is named: of a transformer its attention, too."""
    return [*DEFAULT[:1], *['attention'] * attends(model, variables), *DEFAULT[1:]]


def attends(model: Model, variables: Variables) -> bool:
    """True of a transformer whose patches attend to all others."""
    return has_attention(model.apply, variables, map_layer.blank(model))


def has_rectifiers(model: Model, variables: Variables) -> bool:
    """True if guided backpropagation and deconvolution would change anything."""
    try:
        jax.eval_shape(with_rule(model.apply, RULES['guided']), variables, map_layer.blank(model))
    except ValueError:
        return False
    return True
