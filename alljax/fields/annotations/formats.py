"""The annotation formats by name; one of your own joins by `FORMATS['mine'] = Format(…)`."""

from alljax.fields.annotations import coco, csv_table, pascal_voc, xyc, yolo
from alljax.fields.annotations.annotation_file import Format

FORMATS: dict[str, Format] = {
    'pascal_voc': pascal_voc.FORMAT,
    'yolo': yolo.FORMAT,
    'coco': coco.FORMAT,
    'csv': csv_table.FORMAT,
    'xyc': xyc.FORMAT,
}
