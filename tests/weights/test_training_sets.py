"""The sets that a backbone has seen: from its publisher or its user, and through a run to the next card and report."""

import pytest

from alljax.commands.weights import main
from alljax.errors import UserError
from alljax.models import Input, NetworkSpec
from alljax.storage.card import Card, WeightsOrigin
from alljax.weights import training_sets


@pytest.mark.parametrize(
    ('source', 'found'),
    [
        ('Acevedo', 'Acevedo'),
        ('acevedo 2020', 'Acevedo'),
        ('PBC_dataset_normal_DIB', 'Acevedo'),
        ('AML-Cytomorphology_LMU', 'AML Matek'),
        ('KRD WBC', 'KRD-WBC'),
        ('LISC', 'LISC'),
        ('ALL-IDB2', ''),
        ('Chula', ''),
        ('', ''),
        ('--', ''),
    ],
)
def test_a_set_is_known_by_each_of_its_names(source, found):
    seen = training_sets.overlap(training_sets.of_published('dinobloom_s', ''), source)
    assert seen.test_set == found
    assert seen.source == source
    assert len(seen.cells) == 15


def test_published_weights_say_their_sets_and_photographs_are_no_cells():
    assert training_sets.of_published('resnet18', 'IMAGENET1K_V1') == ('ImageNet-1k',)
    assert training_sets.of_published('vit_h_14', 'IMAGENET1K_SWAG_E2E_V1') == ('IG-3.6B', 'ImageNet-1k')
    assert training_sets.of_published('resnet18', '') == ()
    assert training_sets.overlap(('IG-3.6B', 'ImageNet-1k', 'LVD-142M'), 'ALL-IDB2') == ('ALL-IDB2', '', ())
    assert training_sets.overlap(('ImageNet-1k', 'ALL-IDB'), 'all_idb2') == ('all_idb2', 'ALL-IDB', ('ALL-IDB',))


def test_the_card_of_an_earlier_release_has_the_sets_of_its_weights():
    origin = WeightsOrigin('resnet18.pth', '', 1, 'alljax 0.1.0', weights='IMAGENET1K_V1')
    card = Card((), NetworkSpec('resnet18', {}), Input(224), weights=origin)
    assert training_sets.of_card(card) == ('ImageNet-1k',)
    assert training_sets.of_card(Card((), NetworkSpec('resnet18', {}), Input(224))) == ()


def test_sets_without_a_file_are_refused():
    with pytest.raises(UserError, match='--trained_on and --prefix belong to --file'):
        main(['squeezenet1_1', '--trained_on', 'Acevedo'])
