"""The features of frozen layers, for runs that train the head only: computed once for each image, kept on disk."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float32, Int

from alljax.models import Model, Variables
from alljax.models.trees import flatten
from alljax.storage import feature_cache
from alljax.storage.streamed_pictures import Pictures
from alljax.training import inference


def features(
    body: Model,
    variables: Variables,
    about: Mapping[str, object],
    images: Pictures,
    batch_size: int,
    folder: Path,
) -> Float32[np.ndarray, 'cells ...']:
    """The features of each image, from the `folder` where it has them, else computed and added to it.

    They are kept by the network and its options (`about`), its variables, the form of its input, and each image's
    pixels: runs that share these share the features, whatever their splits.
    """

    def compute(missing: Int[np.ndarray, ' missing']) -> Iterator[Float32[np.ndarray, 'some ...']]:
        for rows in inference.in_batches(logits, variables, images, missing, batch_size):
            yield inference.finite(np.asarray(rows), f'the network {body.name}')

    logits = inference.make_logits(body)
    return feature_cache.by_digest(folder / key(body, variables, about), feature_cache.digests(images), compute)


def key(body: Model, variables: Variables, about: Mapping[str, object]) -> str:
    """A short name for all that features depend on besides the image."""
    facts = [body.name, dict(sorted(about.items())), body.input._asdict(), jax.__version__]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name, leaf in sorted(flatten(variables).items()):
        if not name.startswith('params/head/'):
            digest.update(name.encode())
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
