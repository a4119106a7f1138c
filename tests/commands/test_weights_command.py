"""`alljax weights`: its list, and mistakes as sentences; what becomes of a file is told in tests/weights."""

import pytest

from alljax import models
from alljax.commands import weights
from alljax.errors import UserError


@pytest.fixture
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))


@pytest.mark.usefixtures('cache_of_its_own')
def test_the_list_shows_every_network(capsys):
    assert weights.main(['--list']) == 0
    said = capsys.readouterr().out
    for name in models.MODELS:
        assert name in said
    line = next(line for line in said.splitlines() if line.startswith('resnet18 '))
    assert line.split() == ['resnet18', 'IMAGENET1K_V1', '11,689,512', '224', '44.7', 'BSD-3-Clause', 'no']


@pytest.mark.usefixtures('cache_of_its_own')
@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ([], 'a NAME is missing'),
        (['resnet51'], "no such network, did you mean 'resnet50'"),
        (
            ['resnet18'],
            r'\$ALLJAX_OFFLINE forbids downloads; fetch https://download.pytorch.org/models/resnet18-f37072fd',
        ),
        (['efficientnet_lite3'], 'no published weights are known'),
        (['resnet18', '--file', '/nowhere.pth'], 'there is no such file'),
        (['resnet18', '--out', 'x'], 'belong to --file'),
        (['resnet18', '--file', 'x', '--weights', 'V1'], 'exclude each other'),
    ],
)
def test_what_cannot_be_done_is_told(arguments, said):
    with pytest.raises(UserError, match=said):
        weights.main(arguments)
