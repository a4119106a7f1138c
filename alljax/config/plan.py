"""The plan of a run, as plain records of the rooms that do it: everything below takes its part, and no config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from alljax.baselines.systems import System
from alljax.data.augment import Augmentation
from alljax.data.datasets import DataOptions
from alljax.data.external import ExternalOptions
from alljax.data.split import SplitOptions
from alljax.models import NetworkSpec
from alljax.storage.calibration_record import PICTURES
from alljax.storage.image_preparation import CellPreparation
from alljax.storage.prediction_views_record import PredictionViews
from alljax.training.optimizer import OptimizerOptions


class Start(NamedTuple):
    """The place that a network's variables come from."""

    source: Path | None  # a model folder; None for random variables
    how: str  # for results.json: 'imagenet', 'random', the path of a run, …
    new_dense: bool = False  # the source has convolutions alone, so the dense layers after them are drawn


class MeasuringNetwork(NamedTuple):
    """One of several networks that a classical system measures with, and where its variables come from."""

    network: NetworkSpec
    start: Start


class NamedSystem(NamedTuple):
    """A classical system and what it is called."""

    name: str
    parts: System


class TrainingOptions(NamedTuple):
    """The length and speed of learning, and the share of each class in it."""

    epochs: int
    equalize: str  # classes of the training side: 'undersample', 'oversample', 'weights', 'batches' or 'none'
    optimizer: OptimizerOptions
    factors: tuple[tuple[str, float], ...]  # (pattern over parameter names, factor on the learning rate)
    freeze: str  # pattern over parameter names that stay as they start
    patience: int  # epochs without a better validation loss; 0 for no early stopping
    save_seconds: float  # between two checkpoints
    gradients_every: int  # steps from one look at the gradients to the next; 0 for none
    gradients_curvature: bool  # is among what is looked at
    layer_decay: float  # factor on the learning rate from a layer to the one before it
    average_decay: float  # of the moving average of the parameters; 0 for none
    smoothing: float  # of the labels
    mixup: float  # parameter of the Beta distribution of the blends; 0 for none
    group_rate: float | None  # step size of group DRO; None without it
    precision: str  # one of alljax.training.precision.PRECISIONS
    statistics: str  # of batch normalizations: one of alljax.models.batch_statistics.STATISTICS


class EnsembleOptions(NamedTuple):
    """The choice among the candidates of an ensemble."""

    folds: int = 5  # inner ones, of the training side
    members: int = 3  # candidates that are averaged, at most
    choose: str = 'average'  # 'average', 'best' or 'all'


class Candidate(NamedTuple):
    """A model that an ensemble may take."""

    name: str
    plan: 'Plan'


class CalibrationOptions(NamedTuple):
    """The certainty that is measured of a trained model and kept in its card."""

    fit: str = 'none'  # or 'validation' or 'folds': the cells that give temperature, sets and confidence
    coverage: float = 0.9  # of the sets
    accuracy: float = 0.95  # of the answers
    unlike: str = PICTURES  # one of UNLIKE

    @property
    def keeps_validation(self) -> bool:
        """True if the cells of a validation fold must not train: the model is measured on them."""
        return self.fit == 'validation' or self.unlike != PICTURES


class Plan(NamedTuple):
    """All that a run needs to know before a cell is read."""

    fields: Mapping[str, Any]  # the config as it is used, by dotted name: what config.json keeps
    demo: bool  # on drawn cells
    seed: int
    batch_size: int
    data: DataOptions
    preparation: CellPreparation  # of cells after they were read; its stain target is measured by the run
    split: SplitOptions
    augmentation: Augmentation
    network: NetworkSpec  # of a classical system, the one that it measures with
    start: Start
    training: TrainingOptions
    system: NamedSystem | None  # in the place of the network
    source: str = ''  # the public name of the data set, if it has one and the user said it
    external: ExternalOptions = ExternalOptions()  # the second set that is tested as well
    measuring: tuple[MeasuringNetwork, ...] = ()  # what a system measures with, where that is not `network`
    views: PredictionViews | None = None  # of a cell, whose probabilities are averaged; None for the cell as it is
    candidates: tuple[Candidate, ...] = ()  # in the place of network and system: some of them are averaged
    ensemble: EnsembleOptions = EnsembleOptions()
    calibration: CalibrationOptions = CalibrationOptions()
    heat_maps: bool = True  # of test cells, in the report
