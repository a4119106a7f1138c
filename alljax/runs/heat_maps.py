"""The heat maps of a run's test cells: where in each picture the logit of its predicted class comes from."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped

from alljax import gradients
from alljax.data.cells import Cells
from alljax.evaluation import heat_maps
from alljax.models import Input, Variables
from alljax.runs import map_layer, transduction
from alljax.runs.kind import Trained
from alljax.runs.layer_words import in_words
from alljax.runs.map_layer import MapLayer
from alljax.runs.network import TrainedNetwork
from alljax.runs.results import TestOutput
from alljax.storage import progress_bar
from alljax.storage.card import Card
from alljax.training import inference

PART = 'heat_maps'  # of results.json: the layer that they are of, or why there are none
BATCH = 16  # cells at once, however many there are, so that one program serves all folds
OFF = 'config.report.heat_maps was off'


class WatchedNetwork(NamedTuple):
    """A network, the layer whose map is looked at, and the form of its input: what is compiled for."""

    apply: Callable[[Variables, Array], Array]
    layer: str
    input: Input


def of_test(trained: Trained, output: TestOutput, test: Cells) -> TestOutput:
    """The output of a run for its test cells with heat maps of some, of the classes that it predicts.

    Without any where the model has no layer that gives a map of positions; results.json says why.
    """
    reason = without_maps(trained.card)
    layer = None if reason else map_layer.last_map_layer(trained.model, trained.variables)
    if not layer:
        return without(output, reason or f'{trained.model.name} has no layer with a map of positions')
    shares = inference.probabilities(output.logits, 'the model')
    index = heat_maps.chosen(test.labels, shares)
    found = maps_of(trained, layer, test, index, shares.argmax(1)[index])
    words = in_words(layer.name, layer.shape, last=True)
    pictures = {
        test.names[place]: heat_maps.small(test.images[place], one)
        for place, one in zip(index, found, strict=True)
        if np.isfinite(one).all()
    }
    about = {'method': 'Grad-CAM', 'layer': layer.name, 'in_words': words}
    return output._replace(found={**output.found, PART: about}, heat_maps=pictures)


def without(output: TestOutput, reason: str) -> TestOutput:
    """The output with the reason why it has no heat maps."""
    return output._replace(found={**output.found, PART: {'none': reason}})


def without_maps(card: Card) -> str:
    """The reason why a kind of model has no heat maps; '' for a network."""
    if card.members:
        return 'an ensemble averages several models, each of which may look elsewhere'
    return 'a classical system has no layers to look into' if card.system is not None else ''


def maps_of(
    run: TrainedNetwork,
    layer: MapLayer,
    test: Cells,
    index: Integer[np.ndarray, ' chosen'],
    wanted: Integer[np.ndarray, ' chosen'],
) -> Float[np.ndarray, 'chosen rows columns']:
    """The Grad-CAM of a layer for the cells at `index`, each of a wanted class.

    A transductive network has the statistics of the set that a cell is tested in.
    """
    model, unit = run.model, run.card.transductive
    name, (_, rows, columns, _) = layer
    rectified = map_layer.goes_on_rectified(model, run.variables, *layer)
    network = WatchedNetwork(map_layer.rectifying(model.apply, name) if rectified else model.apply, name, model.input)
    sets = transduction.sets_of(test, unit) if unit else transduction.Sets([np.arange(len(test))], 0)
    own = transduction.variables_by_set(model, run.variables, test, sets) if unit else iter([run.variables])
    found = np.zeros((len(index), rows, columns), np.float32)
    with progress_bar.shown('heat maps', len(index), ' cells') as bar:
        for members, variables in zip(sets.members, own, strict=True):
            places = np.flatnonzero(np.isin(index, members))
            for start in range(0, len(places), BATCH):
                batch = places[start : start + BATCH]
                filled = np.resize(batch, BATCH)
                images = jax.device_put(test.images[index[filled]])
                maps = activation_maps(network, variables, images, jax.device_put(wanted[filled]))
                found[batch] = np.asarray(maps)[: len(batch)]
                bar.update(len(batch))
    return found


@partial(jax.jit, static_argnames='network')
def activation_maps(
    network: WatchedNetwork,
    variables: Variables,
    images: Shaped[Array, 'batch height width 3'],
    wanted: Integer[Array, ' batch'],
) -> Float[Array, 'batch rows columns']:
    """The Grad-CAM of a layer for crops as they are kept, each of a wanted class."""
    x = inference.prepared(images, network.input)
    found: Array = gradients.grad_cam(network.apply, variables, x, wanted, layer=network.layer).map
    return found
