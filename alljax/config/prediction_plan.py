"""The views of a cell over which a config's prediction is averaged."""

from ml_collections import ConfigDict

from alljax.errors import UserError
from alljax.storage.prediction_views_record import PredictionViews

AMOUNTS = ('light', 'stain', 'blur', 'noise', 'jpeg', 'gray')  # of config.augment


def views_of(config: ConfigDict) -> PredictionViews | None:
    """The views that `predict.turns` and `predict.copies` ask for; None for the picture alone.

    UserError for copies without any jitter, which would all be the cell itself.
    """
    turns, copies = config.predict.turns, config.predict.copies
    amounts = {name: config.augment[name] for name in AMOUNTS} if copies else {}
    if copies and not any(amounts.values()):
        raise UserError(
            f'config.predict.copies is {copies}, but nothing is set by which a copy would differ from its cell; set '
            f'config.augment.stain, for example to 0.1 (or {", ".join(n for n in AMOUNTS if n != "stain")}), or set '
            'config.predict.copies to 0'
        )
    return PredictionViews(turns, copies, **amounts) if turns > 1 or copies else None
