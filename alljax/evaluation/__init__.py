"""Measures, intervals, figures and the report of a run; needs labels and predictions, never a model or a data set."""
