"""Whole microscope fields: read, searched for white cells, cut into crops, compared with what people marked."""
