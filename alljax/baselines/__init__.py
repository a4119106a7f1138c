"""The classical systems of Table 6, each from parts by name: a system, or a part of your own, joins by one line.

`SYSTEMS['mine'] = lambda: System('otsu', ('glcm',), ('svm',))`, and likewise in the dictionary of each kind of part.
They are imported when they are asked for, so that a process that measures features starts without the classifiers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alljax.baselines.classify import CLASSIFIERS, Choice
    from alljax.baselines.features import FEATURES
    from alljax.baselines.preprocess import PREPROCESS
    from alljax.baselines.segment import SEGMENTS, Parts
    from alljax.baselines.systems import SYSTEMS, System

__all__ = ['CLASSIFIERS', 'FEATURES', 'PREPROCESS', 'SEGMENTS', 'SYSTEMS', 'Choice', 'Parts', 'System']

MODULES = {
    'CLASSIFIERS': 'classify',
    'Choice': 'classify',
    'FEATURES': 'features',
    'PREPROCESS': 'preprocess',
    'SEGMENTS': 'segment',
    'Parts': 'segment',
    'SYSTEMS': 'systems',
    'System': 'systems',
}


def __getattr__(name: str) -> Any:  # of any type: a dictionary or a class
    if name not in MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{MODULES[name]}'), name)


def __dir__() -> list[str]:
    return [*globals(), *MODULES]
