"""From a model, cells on the device and indices to trained variables."""
