"""Trees of arrays as folders: the only file that knows Orbax, and TensorStore, by which Orbax keeps each leaf."""

import errno
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from alljax.errors import some
from alljax.models.trees import flatten, unflatten
from alljax.storage import checksums, hosts
from alljax.storage.checksums import Checksums, Damaged

Tree = Any  # nested dictionaries of arrays, as JAX has no type for them
Leaf = Any  # a NumPy array, also of a type that NumPy lacks, such as bfloat16
METADATA = '_METADATA'  # Orbax's list of the leaves

# Orbax reports every file it touches there, and what goes wrong with a traceback; that comes as an exception too.
logging.getLogger('absl').setLevel(logging.CRITICAL)


def write_tree(folder: Path, tree: Tree, *, together: bool = False) -> Checksums:
    """Writes a tree to a folder that is not there yet, and returns the checksum of each leaf, by its name.

    Of several processes one writes all of it; with `together` all call this, with arrays that lie on all devices, and
    each writes a part.
    """
    host = tree if together else jax.tree.map(np.asarray, tree)
    # of gigabytes it would hold a second copy otherwise
    slowly = ocp.StandardCheckpointHandler(save_concurrent_gb=1, multiprocessing_options=_writers(folder, together))
    with ocp.Checkpointer(slowly, multiprocessing_options=_writers(folder, together)) as checkpointer:
        checkpointer.save(folder.resolve(), args=ocp.args.StandardSave(host))
    return of_tree(host)


def _writers(folder: Path, together: bool) -> ocp.options.MultiprocessingOptions:
    """The processes that write a tree. Orbax lets named ones meet at barriers with names, on any thread.

    All of them, without names, would meet in a program on their devices, among those of the training.
    """
    if hosts.count() == 1:
        return ocp.options.MultiprocessingOptions()
    who = {*range(hosts.count())} if together else {hosts.place()}
    return ocp.options.MultiprocessingOptions(min(who), who, folder.parent.name)


def of_tree(tree: Tree) -> dict[str, str]:
    """The checksum of each leaf of a tree in host memory, by its name."""
    return {name: checksums.of_array(np.asarray(leaf)) for name, leaf in flatten(tree).items()}


def read_tree(folder: Path, expected: Checksums | None = None) -> Tree:
    """The tree of a folder that `write_tree` wrote, as arrays in host memory.

    Damaged, naming the leaves, if one cannot be read or is not as `expected`; without that only what cannot be read at
    all is told. The leaves are read one by one and not by Orbax, whose threads print on when it has failed.
    """
    names, empty = _leaf_names(folder / METADATA)
    if expected is not None and (different := sorted(names.keys() ^ expected.keys())):
        raise Damaged(f'{METADATA} differs from what was written in {some(different, 4)}')
    found: dict[str, Leaf] = {name: {} for name in empty}
    problems = []
    for name, read in {name: _started(folder, stored) for name, stored in names.items()}.items():
        try:
            found[name] = read()
        except ValueError as error:
            _refuse_forbidden(error, folder)
            problems.append(f'{name} (cannot be read)')
            continue
        if expected is not None and checksums.of_array(found[name]) != expected[name]:
            problems.append(f'{name} (other values than were written)')
    if problems:
        raise Damaged(f'{len(problems)} of {len(names)} arrays are damaged: {some(problems, 4)}')
    return unflatten(found)


def _leaf_names(path: Path) -> tuple[dict[str, str], list[str]]:
    """Each leaf's name and the one that it is stored under, from Orbax's list, and the names of empty branches."""
    names, empty = {}, []
    try:
        for leaf in json.loads(path.read_bytes())['tree_metadata'].values():
            keys = [str(key['key']) for key in leaf['key_metadata']]
            if leaf['value_metadata']['value_type'] == 'Dict':
                empty.append('/'.join(keys))
            else:
                names['/'.join(keys)] = '.'.join(keys)
    except PermissionError:
        raise
    except FileNotFoundError:
        raise Damaged(f'{path.name} is missing') from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Damaged(f'{path.name} cannot be read') from None
    if not names:
        raise Damaged(f'{path.name} names no arrays')
    return names, empty


def _started(folder: Path, name: str) -> Callable[[], Leaf]:
    """Starts to open and read a leaf; the function waits for it."""
    place = {'driver': 'ocdbt', 'base': {'driver': 'file', 'path': f'{folder.resolve()}/'}}
    opening = tensorstore.open({'driver': 'zarr', 'kvstore': place, 'path': name}, open=True, read=True)
    return lambda: np.asarray(opening.result().read().result())


def _refuse_forbidden(error: ValueError, folder: Path) -> None:
    if 'PERMISSION_DENIED' in str(error):
        raise PermissionError(errno.EACCES, 'Permission denied', str(folder)) from None
