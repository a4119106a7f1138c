"""Files that are called pictures and are something else, known by their first bytes."""

READ = 'TIFF, PNG, JPEG, BMP, WebP, GIF or PPM'
HEAD = 1024  # bytes of a file that are looked at

SIGNATURES = (  # offset, bytes, name
    (4, b'ftypavif', 'an AVIF picture'),
    (4, b'ftypavis', 'an AVIF picture'),
    (4, b'ftyphe', 'a HEIC picture, as phones take them'),
    (4, b'ftypmif1', 'a HEIC picture, as phones take them'),
    (4, b'ftypmsf1', 'a HEIC picture, as phones take them'),
    (4, b'ftyp', 'a film'),
    (4, b'jP  \r\n', 'a JPEG 2000 picture'),
    (0, b'\xff\x4f\xff\x51', 'a JPEG 2000 picture'),
    (4, b'JXL ', 'a JPEG XL picture'),
    (0, b'\xff\x0a', 'a JPEG XL picture'),
    (0, b'II\xbc', 'a JPEG XR picture'),
    (0, b'%!PS', 'a PostScript (EPS) document'),
    (0, b'\xc5\xd0\xd3\xc6', 'a PostScript (EPS) document'),
    (0, b'%PDF', 'a PDF document'),
    (0, b'8BPS', 'a Photoshop (PSD) document'),
    (0, b'SIMPLE  =', 'a FITS file'),
    (0, b'\xd7\xcd\xc6\x9a', 'a Windows metafile (WMF)'),
    (40, b' EMF', 'a Windows metafile (EMF)'),
    (0, b'icns', 'an icon (ICNS)'),
    (0, b'\0\0\1\0', 'an icon (ICO)'),
    (128, b'DICM', 'a DICOM file'),
    (0, b'\x89HDF', 'an HDF5 file'),
    (0, b'PK\3\4', 'a ZIP archive or an Office document'),
    (0, b'\x1f\x8b', 'a gzip archive'),
    (0, b'<?xml', 'an XML or SVG file'),
    (0, b'<svg', 'an SVG file'),
    (0, b'<!DOCTYPE', 'a web page'),
    (0, b'<html', 'a web page'),
    (0, b'version https://git-lfs', 'the stand-in of Git LFS for a file that was not fetched'),
)


def found(head: bytes) -> str:
    """The kind of file that begins with these bytes: 'a PDF document'; '' if it is none of those known."""
    return next((name for offset, mark, name in SIGNATURES if head[offset : offset + len(mark)] == mark), '')
