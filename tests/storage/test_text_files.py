import csv

from alljax.storage.text_files import csv_text, write_text


def test_a_name_that_is_not_utf8_is_escaped(tmp_path):
    write_text(tmp_path / 'page.html', 'β \udcff')
    assert (tmp_path / 'page.html').read_bytes() == 'β \\udcff'.encode()
    assert [path.name for path in tmp_path.iterdir()] == ['page.html']


def test_csv_keeps_commas_quotes_and_full_digits():
    text = csv_text(('file', 'value'), [('a,"b".tif', 0.1 + 0.2), ('c', None)])
    assert text == 'file,value\n"a,""b"".tif",0.30000000000000004\nc,\n'
    assert [float(row['value'] or 0) for row in csv.DictReader(text.splitlines())] == [0.1 + 0.2, 0]
