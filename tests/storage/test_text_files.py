import csv
import io

import pytest

from alljax.storage.text_files import csv_line, csv_rows, csv_text, write_text


def test_a_name_that_is_not_utf8_is_escaped(tmp_path):
    write_text(tmp_path / 'page.html', 'β \udcff')
    assert (tmp_path / 'page.html').read_bytes() == 'β \\udcff'.encode()
    assert [path.name for path in tmp_path.iterdir()] == ['page.html']


def test_csv_keeps_commas_quotes_and_full_digits():
    text = csv_text(('file', 'value'), [('a,"b".tif', 0.1 + 0.2), ('c', None)])
    assert text == 'file,value\n"a,""b"".tif",0.30000000000000004\nc,\n'
    assert [float(row['value'] or 0) for row in csv.DictReader(text.splitlines())] == [0.1 + 0.2, 0]


@pytest.mark.parametrize('text', ['=1+1', '+1+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', "'=1", "''=1", '=a,"b"'])
def test_no_cell_is_a_formula_and_reading_gives_it_back(text):
    line = csv_line([text])
    assert next(csv.reader(io.StringIO(line, newline='')))[0] == f"'{text}"
    assert csv_rows(csv_text(['file'], [[text]])) == [{'file': text}]


@pytest.mark.parametrize('value', ['-0.5', '+1e-3', -2, -0.25, "it's", "'quoted'", '-inf', 'a=b', 'é'])
def test_numbers_and_other_text_are_not_quoted(value):
    assert csv_line([value]) == f'{value}\n'
    assert csv_rows(csv_text(['file'], [[value]])) == [{'file': str(value)}]
