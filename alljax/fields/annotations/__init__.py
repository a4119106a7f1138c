"""Marked cells of whole fields, from the formats in which data sets and labeling tools keep them.

`read` finds out the format by what the files hold: Pascal VOC, YOLO, COCO, CSV, or centers as ALL-IDB1's .xyc has them.
Labels stay as they are written. Whatever cannot be used is told: a box outside of its picture or without a class, the
same box twice, a picture that is not there, a file that names another, a size that disagrees.
"""

from alljax.fields.annotations.annotation_file import AnnotationError, AnnotationFile, Format, Marked
from alljax.fields.annotations.formats import FORMATS
from alljax.fields.annotations.reading import Annotations, picture_size, read

__all__ = [
    'FORMATS',
    'AnnotationError',
    'AnnotationFile',
    'Annotations',
    'Format',
    'Marked',
    'picture_size',
    'read',
]
