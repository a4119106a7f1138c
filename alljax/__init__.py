"""Leukaemia cells in, probabilities and gradients out, every step a pure function of a plain params tree."""
