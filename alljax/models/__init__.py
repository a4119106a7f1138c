"""Networks as two pure functions: `init(key) -> variables` and `apply(variables, image) -> logits`."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.errors import UserError, nearest
from alljax.models import (
    alexnet,
    alexnet_bvlc,
    convnext,
    cpu_convolution,
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
from alljax.models.group_norm import use_group_normalization
from alljax.models.head import Features, Head
from alljax.models.network_definition import Apply, Input, ModuleFunctions, Network, Variables

if TYPE_CHECKING:
    from alljax.models.nnx_adapter import from_nnx

__all__ = [
    'MODELS', 'Apply', 'Input', 'Model', 'Network', 'NetworkSpec', 'Variables', 'create', 'cut', 'from_nnx', 'is_linen',
    'options',
]  # fmt: skip

# Random numbers take XLA seconds a layer to compile for a CPU, and most of that is spent on making them fast; they are
# drawn once (AlexNet: 13.7 s of processor time with the default of 3, 2.6 s with this). The numbers are the same with
# JAX 0.10, and differ in the last bit with 0.12.
QUICK = {'xla_backend_optimization_level': 1}

# Name → network; a network of your own joins by `MODELS['mine'] = Network(Mine, Input(64))`.
MODELS: dict[str, Network] = {
    **alexnet.NETWORKS,
    **alexnet_bvlc.NETWORKS,
    **vgg.NETWORKS,
    **resnet.NETWORKS,
    **densenet.NETWORKS,
    **googlenet.NETWORKS,
    **inception.NETWORKS,
    **squeezenet.NETWORKS,
    **mobilenet.NETWORKS,
    **efficientnet.NETWORKS,
    **efficientnet_lite.NETWORKS,
    **convnext.NETWORKS,
    **convnext.V2_NETWORKS,
    **swin_v2.NETWORKS,
    **vit.NETWORKS,
    **dino_vit.NETWORKS,
}


def __getattr__(name: str) -> Any:
    """Imports `from_nnx` when it is used (PEP 562): flax.nnx takes half a second, and few networks are of it."""
    if name == 'from_nnx':
        return importlib.import_module('alljax.models.nnx_adapter').from_nnx
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


class Model(NamedTuple):
    """A network for a number of classes."""

    name: str
    init: Callable[[Key[Array, '']], Variables]
    apply: Apply
    input: Input


class NetworkSpec(NamedTuple):
    """A network of MODELS by name, with the options of `create`: what a config asks for and a model folder keeps."""

    name: str
    options: Mapping[str, Any]  # Any: each has its own type, that of `create`

    def create(self, classes: int) -> Model:
        """The network for a number of classes; for none, it ends with its features."""
        return create(self.name, classes, **self.options)

    def cut(self, classes: int) -> tuple[Model, Model] | None:
        """The network in two: from images to features, and from features to logits. See `cut`."""
        return cut(self.name, classes, **self.options)

    @property
    def averages(self) -> bool:
        """True if the layers after the features average a map of them as their first act."""
        return bool(self.options.get('head', 1024)) or self.options.get('dense') is False

    def without_head(self) -> 'NetworkSpec':
        """The same network up to its features: what only concerns the layers after them is left out."""
        kept = {name: value for name, value in self.options.items() if name not in ('head', 'dropout')}
        return NetworkSpec(self.name, kept)


def create(
    name: str,
    classes: int,
    *,
    head: int = 1024,
    size: int = 0,
    color: str = 'RGB',
    platform: str | None = None,
    last: nn.Module | None = None,
    norm: str = 'batch',
    **options: Any,  # of the network's module: each has its own type
) -> Model:
    """A network of MODELS for `classes`.

    `head` is the width of the paper's new hidden layer; 0 asks for the network's own last layers. With 0 classes,
    `apply` gives the features before them; `last` takes their place. `size` is the side of the input in pixels, by
    default the network's own. `color` is noted in the model's input, for those who prepare images. `platform` is the
    device's ('cpu', 'gpu'), by default JAX's. Of the `options` (`width`, `dropout`, `act`), None stands for the
    network's own. `norm` 'group' has group normalization in the place of batch normalization. UserError for a name or
    an option that there is not, and for a `norm` 'group' of what is no linen module.
    """
    network = _network(name)
    known = inspect.signature(network.module).parameters
    options = {option: value for option, value in options.items() if value is not None}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(f'{name} has no {" and no ".join(unknown)}; leave the option out')
    last = last or _last(network, classes, head, options)
    on_cpu = (platform or jax.default_backend()) == 'cpu'
    if on_cpu and 'convolution' in known:
        options['convolution'] = cpu_convolution.convolve
    form = network.input._replace(color=color)
    if size:
        form = form._replace(size=size, resize=round(form.resize * size / form.size))
    module = _with_norm(name, network.module(head=last, **options), norm)

    def init(key: Key[Array, '']) -> Variables:
        def variables(key: Key[Array, '']) -> Variables:
            return dict(module.init(key, jnp.zeros((1, form.size, form.size, 3), jnp.float32)))

        if isinstance(key, jax.core.Tracer):  # the program around it is compiled as a whole
            return variables(key)
        drawn: Variables = jax.jit(variables, compiler_options=QUICK if on_cpu else None)(key)
        return drawn

    return Model(name, init, cast(Apply, module.apply), form)  # linen leaves open what `mutable` gives


def cut(
    name: str,
    classes: int,
    *,
    head: int = 1024,
    **options: Any,  # as of `create`
) -> tuple[Model, Model] | None:
    """The network of `create` in two: from images to features, and from features to logits.

    Both take the variables of the whole. None for a network that is no linen module: where to cut it is unknown.
    """
    # what averages a map of features as its first act gets the average: a smaller thing to keep
    average = NetworkSpec(name, {**options, 'head': head}).averages
    body = create(name, classes, last=Features(average=average, parent=None), **options)
    if not is_linen(body):
        return None
    last = _last(_network(name), classes, head, {'act': options['act']} if options.get('act') else {})

    def apply(variables: Variables, features: Float[Array, 'batch ...'], *, train: bool = False, **options: Any) -> Any:
        return last.apply({'params': variables['params']['head']}, features, **options)  # the same in training

    return body, body._replace(apply=apply)


def options(name: str) -> frozenset[str]:
    """The options of a network that `create` can set: of `width`, `dropout`, `act` and what else it has."""
    return frozenset(inspect.signature(_network(name).module).parameters) - {'head', 'convolution', 'parent', 'name'}


def is_linen(model: Model) -> bool:
    """True if the network is a linen module, whose layers can be looked into and cut."""
    functions = model.apply, getattr(model.apply, '__wrapped__', None)  # the latter with a `norm`
    return any(isinstance(getattr(function, '__self__', None), nn.Module) for function in functions)


def _with_norm(name: str, module: Any, norm: str) -> Any:  # a linen module, or the two functions of another
    """The functions of a module, with group normalization in it if asked for."""
    if norm == 'batch':
        return module
    if not isinstance(module, nn.Module):
        raise UserError(f'config.model.norm is {norm!r}, but {name} is no linen module; set it to batch')

    @wraps(module.init)
    def init(*arguments: Any, **options: Any) -> Any:
        with use_group_normalization():
            return module.init(*arguments, **options)

    @wraps(module.apply)
    def apply(*arguments: Any, **options: Any) -> Any:
        with use_group_normalization():
            return module.apply(*arguments, **options)

    return ModuleFunctions(init, cast(Apply, apply))


def _network(name: str) -> Network:
    if name not in MODELS:
        raise UserError(
            f'there is no network {name!r}{nearest(name, MODELS)}; if it is your own, name the config file that adds '
            'it (--config=FILE), or import its module first'
        )
    return MODELS[name]


def _last(network: Network, classes: int, head: int, options: dict[str, Any]) -> nn.Module:
    """The layers from features to logits; they belong to no other module yet."""
    if not classes:
        return Features(parent=None)
    last = Head(classes, head, parent=None) if head else network.head(classes)
    return last.clone(act=options['act']) if 'act' in options and hasattr(last, 'act') else last
