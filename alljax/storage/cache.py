"""The user's cache folder: everything in it can be deleted and is made again."""

import os
from pathlib import Path

WORTH_KEEPING = 0.5  # seconds that XLA took for a program


def folder(*parts: str) -> Path:
    """A folder under $ALLJAX_CACHE, else $XDG_CACHE_HOME/alljax, else ~/.cache/alljax; made if absent."""
    home = os.environ.get('ALLJAX_CACHE')
    base = (
        Path(home).expanduser() if home else Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'alljax'
    )
    path = base.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def keep_compiled_programs() -> None:
    """Lets XLA find the programs of earlier processes, so that only the first run on a machine compiles."""
    import jax  # here, because who only asks for a folder need not wait for it

    jax.config.update('jax_compilation_cache_dir', str(folder('xla')))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', WORTH_KEEPING)
