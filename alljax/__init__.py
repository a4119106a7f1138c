"""Leukemia cells in, probabilities and gradients out, every step a pure function of a plain params tree."""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alljax import gradients, models
    from alljax.runs.load import load

__all__ = ['__version__', 'gradients', 'load', 'models']
__version__ = version('alljax')


def __getattr__(name: str) -> Any:
    """Imports gradients, models and load when they are used (PEP 562), so that `import alljax` takes no second."""
    if name in ('gradients', 'models'):
        return importlib.import_module(f'alljax.{name}')
    if name == 'load':
        return importlib.import_module('alljax.runs.load').load
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return __all__
