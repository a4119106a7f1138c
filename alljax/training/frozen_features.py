"""The features of frozen layers, for runs that train the head only: computed once for each image, kept on disk."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float32, Int, UInt8

from alljax.models import Model, Variables
from alljax.models.trees import flatten
from alljax.storage import feature_cache
from alljax.training import inference

CHUNK = 256  # images, about, from one look at the clock to the next: then what there is is saved


def features(
    body: Model,
    variables: Variables,
    about: Mapping[str, object],
    images: UInt8[np.ndarray, 'cells height width 3'],
    batch_size: int,
    folder: Path,
) -> Float32[np.ndarray, 'cells ...']:
    """The features of each image, from the `folder` where it has them, else computed and added to it.

    They are kept by the network and its options (`about`), its variables, the form of its input, and each image's
    pixels: runs that share these share the features, whatever their splits.
    """

    def compute(missing: Int[np.ndarray, ' missing']) -> Float32[np.ndarray, 'missing ...']:
        rows = inference.run(logits, variables, images, missing, batch_size)
        return inference.finite(rows, f'the network {body.name}')

    logits = inference.make_logits(body)
    chunk = max(batch_size, CHUNK // batch_size * batch_size)  # whole batches, or some are filled up in vain
    place = folder / key(body, variables, about)
    return feature_cache.by_picture(place, images, compute, chunk)


def key(body: Model, variables: Variables, about: Mapping[str, object]) -> str:
    """A short name for all that features depend on besides the image."""
    facts = [body.name, dict(sorted(about.items())), body.input._asdict(), jax.__version__]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name, leaf in sorted(flatten(variables).items()):
        if not name.startswith('params/head/'):
            digest.update(name.encode())
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
