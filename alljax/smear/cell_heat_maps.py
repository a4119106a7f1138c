"""Heat maps of white cells: where in a crop a network's answer comes from, as report.html shows it of test cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8

from alljax.data.cells import Cells, Origin
from alljax.data.image_files import ImageFile
from alljax.evaluation import heat_maps as drawing
from alljax.runs import heat_maps, map_layer, preparation
from alljax.runs.kind import Trained
from alljax.runs.layer_words import in_words
from alljax.runs.map_layer import MapLayer
from alljax.runs.network import TrainedNetwork
from alljax.smear.found_cells import FoundCell

MOST = 600  # cells with a heat map, from the first: a page has no room for many more


class Mapped(NamedTuple):
    """The cells, some with a heat map, and a sentence about the maps; '' without any."""

    cells: list[FoundCell]
    said: str


def added(trained: Trained, folder: Path, cells: Sequence[FoundCell]) -> Mapped:
    """The cells with heat maps of the class that a network predicts; as they are for a model without any."""
    chosen = [place for place, cell in enumerate(cells) if cell.row.probabilities is not None][:MOST]
    layer = map_layer_of(trained) if chosen else None
    if not layer or not isinstance(trained, TrainedNetwork):
        return Mapped(list(cells), '')
    read = preparation.read([folder / cells[place].crop for place in chosen], trained.card)
    good = [(place, file.pixels) for place, file in zip(chosen, read, strict=True) if isinstance(file, ImageFile)]
    wanted = np.array([int(_shares(cells[place]).argmax()) for place, _ in good])
    maps = of_crops(trained, layer, np.stack([pixels for _, pixels in good]), wanted)
    done = list(cells)
    for (place, pixels), one in zip(good, maps, strict=True):
        if np.isfinite(one).all():
            done[place] = cells[place]._replace(heat_map=drawing.small(pixels, one))
    words = in_words(layer.name, layer.shape, last=True)
    few = f' The first {MOST} cells have one.' if len(cells) > MOST else ''
    return Mapped(done, f'Heat maps: where in a crop its class comes from (Grad-CAM of {words}); yellow is most.{few}')


def map_layer_of(trained: Trained) -> MapLayer | None:
    """The layer whose map is shown of a cell; None for a model without any."""
    if heat_maps.without_maps(trained.card) or not isinstance(trained, TrainedNetwork):
        return None
    return map_layer.last_map_layer(trained.model, trained.variables)


def of_crops(
    trained: TrainedNetwork,
    layer: MapLayer,
    crops: UInt8[np.ndarray, 'cells side side 3'],
    wanted: Integer[np.ndarray, ' cells'],
) -> Float[np.ndarray, 'cells rows columns']:
    """The Grad-CAM of crops as the network takes them, each of a wanted class."""
    cells = _as_cells(crops, wanted, trained.classes)
    return heat_maps.maps_of(trained, layer, cells, np.arange(len(crops)), wanted)


def _shares(cell: FoundCell) -> np.ndarray:
    assert cell.row.probabilities is not None
    return cell.row.probabilities


def _as_cells(pictures: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> Cells:
    """Crops as cells of one set, each of the class that is asked about."""
    zeros = np.zeros(len(labels), np.int32)
    origin = Origin('crops', '', synthetic=False, root='')
    names = tuple(map(str, range(len(labels))))
    return Cells(pictures, labels.astype(np.int32), zeros, zeros - 1, names, classes, ('crops',), origin)
