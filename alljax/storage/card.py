"""The card of a model folder: what it says about its model beside the variables, in facts.json."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from alljax.errors import UserError
from alljax.models import Input, NetworkSpec
from alljax.storage.calibration_record import Calibration, FeatureLikeness
from alljax.storage.format_version import FORMAT, check_format
from alljax.storage.image_preparation import SEGMENTATIONS, UNCHANGED, CellPreparation, ImagePreparation, Photograph
from alljax.storage.json_records import Json, read_record
from alljax.storage.prediction_views_record import PredictionViews
from alljax.storage.run_folder import FINAL
from alljax.storage.training_pictures import TrainingPictures

LARGEST = 1 << 16  # pixels a side, or cells in a batch


class WeightsOrigin(NamedTuple):
    """The file that weights were converted from."""

    file: str
    sha256: str
    bytes: int
    converted_by: str  # 'alljax 0.1.0'
    weights: str = ''  # their name, address and license, if they are published ones
    address: str = ''
    license: str = ''


class Scores(NamedTuple):
    """The accuracy of a model on the test cells of its run, or of the folds that stand for a model on all cells."""

    accuracy: float
    low: float  # ends of the 95 % interval: Wilson's, or that over groups of a cross-validation
    high: float
    cells: int
    protocol: str  # of the split
    leaky: bool  # related cells may stand on both sides of the split
    source: str = ''  # 'cross-validation' where other models were tested, those of its folds
    folds: int = 0  # of that
    grouping: str = ''  # data.grouping of results.json: what the groups are that no fold separates


class DetectorFacts(NamedTuple):
    """The head of a detector of white cells in fields, whose frozen layers are the card's network."""

    threshold: float  # chance of a middle from which on it is a cell
    width: int  # channels of the head


@dataclass(frozen=True)
class Card:
    """All that prediction and analysis need to know of a model beside its variables.

    There is either a `system`, or a `network` and its `input`, or the `members` of an ensemble. Folders of earlier
    releases lack some of the rest, for which the defaults stand.
    """

    classes: tuple[str, ...]  # in the order of the logits; none for a network that ends with its features
    network: NetworkSpec | None = None
    input: Input | None = None  # what the network expects of an image
    system: Json | None = None  # the parts of a classical system, as alljax.baselines names them
    batch_size: int | None = None  # of the cells that a classical system measures with a network
    data_size: int | None = None  # pixels a side at which cells were kept; None where none were seen
    denoise: str = 'none'  # the filter that cells went through
    cell_preparation: CellPreparation = UNCHANGED  # what cells went through after that
    photograph: bool = False  # trained on photographs of any size, not on crops of one cell
    synthetic: bool = False  # trained on drawn cells
    fingerprint: str = ''  # of the run's cells
    seed: int | None = None  # of the run
    weights: WeightsOrigin | None = None
    model: Json = field(default_factory=dict)  # these two are parts of results.json: printed, never interpreted
    train: Json = field(default_factory=dict)
    scores: Scores | None = None  # of a run that came to its end
    trained_on: tuple[str, ...] = ()  # public names of the sets that the variables have seen; none where unknown
    pictures: TrainingPictures | None = None  # what training cells look like; None for photographs and earlier releases
    calibration: Calibration | None = None  # by cells that did not train it; None where none were kept for that
    members: tuple[str, ...] = ()  # of an ensemble: its folders in this one, each a whole model folder
    member_weights: tuple[float, ...] = ()  # of their probabilities in the average
    likeness: FeatureLikeness | None = None  # a score of features by which cells are unlike those that trained
    transductive: str = ''  # 'slide' or 'set' of unlabelled images whose statistics prediction uses; '' for training's
    views: PredictionViews | None = None  # of an image, whose probabilities are averaged; None for the image as it is
    detector: DetectorFacts | None = None  # of cells in fields; None for a model of classes

    @property
    def preparation(self) -> ImagePreparation:
        """The way from an image file to what the model was trained on; UserError for a model that does not say."""
        if self.photograph and self.input:
            photograph = Photograph(self.input.resize, self.input.interpolation)
            return ImagePreparation(self.input.size, self.denoise, photograph)
        if self.data_size is None:
            raise UserError(
                'the facts.json of this model has no data_size, so no image can be prepared for it; name the run that '
                'it belongs to'
            )
        return ImagePreparation(self.data_size, self.denoise)

    def expect_network(self, path: Path) -> tuple[NetworkSpec, Input]:
        """The network and its input; UserError if the model, which was found at `path`, is none."""
        self.refuse_detector(path)
        if self.members:
            places = (path / 'model', path / FINAL / 'model')
            home = next((place for place in places if place.is_dir()), path)
            raise UserError(
                f'{path}: holds an ensemble; expected a network. Name one of its members that is a network: '
                f'{", ".join(str(home / name) for name in self.members)}'
            )
        if self.network is None or self.input is None:
            name = self.model.get('name', 'a system')
            raise UserError(f'{path}: holds {name}, a classical system; expected a network')
        return self.network, self.input

    def refuse_detector(self, path: Path) -> None:
        """UserError if the model, which was found at `path`, is a detector: it knows no classes."""
        if self.detector:
            raise UserError(
                f'{path}: holds a detector, which finds white cells and knows no classes; expected a model of classes. '
                'A detector is named by alljax smear RUN FIELDS --detector DIR'
            )

    def to_json(self) -> dict[str, Any]:  # JSON
        """The content of facts.json; what is unknown is left out."""
        plain = self.cell_preparation == UNCHANGED
        values = {
            'network': self.network and {'name': self.network.name, 'options': dict(self.network.options)},
            'system': None if self.system is None else dict(self.system),
            'classes': self.classes,
            'input': self.input and self.input._asdict(),
            'fingerprint': self.fingerprint or None,
            'seed': self.seed,
            'data_size': self.data_size,
            'denoise': self.denoise,
            'cell_preparation': None if plain else self.cell_preparation._asdict(),
            'photograph': self.photograph,
            'synthetic': self.synthetic,
            'batch_size': self.batch_size,
            'weights': self.weights and {name: value for name, value in self.weights._asdict().items() if value != ''},
            'trained_on': self.trained_on or None,
            'model': dict(self.model) or None,
            'train': dict(self.train) or None,
            'scores': self.scores and self.scores._asdict(),
            'pictures': self.pictures and self.pictures._asdict(),
            'calibration': self.calibration and self.calibration.to_json(),
            'members': self.members or None,
            'member_weights': self.member_weights or None,
            'likeness': self.likeness and self.likeness._asdict(),
            'transductive': self.transductive or None,
            'views': self.views and self.views._asdict(),
            'detector': self.detector and self.detector._asdict(),
            'format': FORMAT,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, values: Json, path: Path) -> 'Card':
        """The card in the content of a facts.json; UserError, naming the file and the key, for what makes no sense."""
        check_format(values, path.parent)
        prepared = values.get('cell_preparation')
        if isinstance(prepared, Mapping):  # release 0.1 had one version of the search for a cell, and no word for it
            values = {**values, 'cell_preparation': {'segmentation': SEGMENTATIONS[0], **prepared}}
        card = read_record(cls, values, path)
        if card.system is None and not card.members:
            needed: Mapping[str, object] = {'network': card.network, 'input': card.input}
            for name in (name for name, value in needed.items() if value is None):
                raise UserError(f'{path}: has no {name}; the model is damaged, train or convert it again')
        if problems := [*_out_of_range(card)]:
            raise UserError(*(f'{path}: {said}; the model is damaged, train or convert it again' for said in problems))
        return card


def _out_of_range(card: Card) -> Iterator[str]:
    """Sentences about values of the right type that no model has."""
    form = card.input
    sizes = {'data_size': card.data_size, 'batch_size': card.batch_size}
    sizes |= {'input.size': form.size, 'input.resize': form.resize} if form else {}
    for name, value in sizes.items():
        if value is not None and not 1 <= value <= LARGEST:
            yield f'has {value} for {name}, expected 1 to {LARGEST}'
    for name, numbers in (('input.mean', form.mean), ('input.deviation', form.deviation)) if form else ():
        if not all(math.isfinite(number) for number in numbers) or (name == 'input.deviation' and min(numbers) <= 0):
            yield f'has {list(numbers)} for {name}, expected finite numbers{", above 0" * (name == "input.deviation")}'
    if card.transductive not in ('', 'slide', 'set'):
        yield f'has {card.transductive!r} for transductive, expected slide or set'
    if len(set(card.classes)) != len(card.classes) or '' in card.classes:
        yield f'has {list(card.classes)} for classes, expected names that differ'
    target, crop = card.cell_preparation.stain_target, card.cell_preparation.crop
    if not all(math.isfinite(number) for number in target):
        yield f'has {list(target)} for cell_preparation.stain_target, expected finite numbers'
    if not 0 <= crop <= LARGEST:
        yield f'has {crop} for cell_preparation.crop, expected 0 to {LARGEST}'
    if any(not re.fullmatch(r'[\w+-][\w.+-]*', name) for name in card.members) or len(set(card.members)) < len(
        card.members
    ):
        yield f'has {list(card.members)} for members, expected names of folders that differ'
    shares = card.member_weights
    if len(shares) != len(card.members) or (
        shares and not (min(shares) >= 0 and math.isclose(sum(shares), 1, abs_tol=1e-6))
    ):
        yield f'has {list(shares)} for member_weights, expected a share for each member, with the sum 1'
    scores = card.scores
    for name in ('accuracy', 'low', 'high') if scores else ():
        value = getattr(scores, name)
        if not -1e-9 <= value <= 1 + 1e-9:  # an end of an interval may miss 1 by a rounding
            yield f'has {value} for scores.{name}, expected 0 to 1'
    yield from card.pictures.problems() if card.pictures else ()
    yield from card.calibration.problems() if card.calibration else ()
    yield from card.views.problems() if card.views else ()
    yield from card.likeness.problems() if card.likeness else ()
