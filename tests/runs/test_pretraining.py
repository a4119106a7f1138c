"""The sets that the network of a run has seen go from the start to its card, and stand beside its numbers."""

import pytest

from alljax.config import resolve
from alljax.config.plan import Start
from alljax.data.cells import Origin
from alljax.models import Input, NetworkSpec
from alljax.runs import initial_variables, results
from alljax.storage import model_folder
from alljax.storage.card import Card
from configs import common


@pytest.fixture
def plan(tmp_path):
    """The plan of a run that starts from a network which has seen Acevedo's cells."""
    card = Card((), NetworkSpec('resnet18', {}), Input(224), trained_on=('ImageNet-1k', 'Acevedo'))
    model_folder.write(tmp_path / 'start', {'params': {'a': [1.0]}}, card)
    config = common.get_config()
    config.model.init = str(tmp_path / 'start')
    return resolve.resolve(config, ())


def test_a_run_inherits_the_sets_of_its_start_and_adds_its_own(plan):
    inherited = initial_variables.trained_on(plan)
    assert inherited == ('ImageNet-1k', 'Acevedo')
    assert initial_variables.trained_on(plan._replace(start=Start(None, 'random'))) == ()
    for name, source, expected in (
        ('folder', '', inherited),
        ('folder', 'Chula', (*inherited, 'Chula')),
        ('folder', 'Acevedo', inherited),
        ('all_idb2', '', (*inherited, 'ALL-IDB2')),
        ('acevedo2020', '', (*inherited, 'Acevedo 2020')),
        ('synthetic', '', inherited),
    ):
        origin = Origin(name, '', name == 'synthetic', '')
        assert initial_variables.with_source(inherited, plan._replace(source=source), origin) == expected


def test_the_test_set_among_them_stands_beside_the_accuracy():
    found = {'data': {'synthetic': False, 'grouping': 'patient or slide'}, 'split': {'leaky': False}}
    assert results.marks(found) == ['grouped (by patient or slide)']
    for test_set, said in (('', []), ('Acevedo', ['pretrained on Acevedo'])):
        marks = results.marks({**found, 'pretraining': {'test_set': test_set}})
        assert marks == ['grouped (by patient or slide)', *said]
