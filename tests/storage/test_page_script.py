"""What a page lets run, and text that would break out of it."""

import json
import re

from alljax.storage import page_script

SCRIPT = 'document.title = "ran";'


def page(script, allowed):
    return (
        f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{page_script.policy(allowed)}"><title>still</title><script>{script}</script>'
    )


def test_own_script_runs(open_page, tmp_path):
    (tmp_path / 'page.html').write_text(page(SCRIPT, SCRIPT))
    assert open_page(tmp_path / 'page.html').title() == 'ran'


def test_no_other_script_runs(open_page, tmp_path):
    (tmp_path / 'page.html').write_text(page('document.title = "stranger";', SCRIPT))
    found = open_page(tmp_path / 'page.html', errors=True)
    assert found.title() == 'still'
    assert any('Content Security Policy' in error for error in found.errors)


def test_without_a_script_none_runs():
    assert "script-src 'none'" in page_script.policy()


def test_text_cannot_end_the_element():
    hostile = {'</script><script>alert(1)</script>': ['<!--', '\u2028', 'a & b', 'ä']}
    text = str(page_script.data(hostile))
    assert not {'<', '>', '&', '\u2028'} & set(text)
    assert json.loads(text) == hostile


def test_pictures_are_kept_in_lines():
    names = [f'data:image/jpeg;base64,{number:04}' for number in range(2 * page_script.BLOCK + 1)]
    text = str(page_script.blocks(names))
    parts = re.findall(r'<script type="text/plain" class="pictures">([^<]*)</script>', text)
    assert [len(part.split('\n')) for part in parts] == [page_script.BLOCK, page_script.BLOCK, 1]
    assert '\n'.join(parts).split('\n') == names
    assert page_script.blocks([]) == ''
