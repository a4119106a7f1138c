"""Leukaemia cells in, probabilities and gradients out, every step a pure function of a plain params tree."""

from importlib.metadata import version

__version__ = version('alljax')
