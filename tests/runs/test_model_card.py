"""The model card of a run folder, from made results."""

import numpy as np
import pytest

from alljax.evaluation import intervals, metrics
from alljax.runs import model_card

CLASSES = ('lymphocyte', 'monocyte')
MATRIX = np.array([[18, 2], [9, 11]])
EVIL = 'a|b`<img src=x onerror=alert(1)>\n# Heading [link](http://evil.example)'
ROWS = [
    {'file': f'{true}{given}{cell}.png', 'group': f's{(true + cell) % 5}', 'label': CLASSES[true],
     'prediction': CLASSES[given], **{f'probability_{name}': '0.5' for name in CLASSES}}
    for true in range(2) for given in range(2) for cell in range(MATRIX[true, given])
]  # fmt: skip


def results_of(*, grouping='patient or slide', leaky=False, **more):
    scores = metrics.scores(MATRIX, CLASSES)
    both = {'wilson': intervals.wilson(29, 40), 'bootstrap_groups': [0.61, 0.83]}
    counts = dict(zip(CLASSES, (50, 50), strict=True))
    return {
        'alljax': '0.1.0', 'finished': '2026-11-25T15:00:00+00:00', 'command': 'python launch.py --config=x.py',
        'data': {'name': 'folder', 'root': '/data/ward', 'synthetic': False, 'fingerprint': 'f00d', 'counts': counts,
                 'groups': 30, 'grouping': grouping},
        'split': {'protocol': 'random' if leaky else 'grouped', 'leaky': leaky, 'train_counts': counts,
                  'test_counts': dict.fromkeys(CLASSES, 20)},
        'test': {'n': 40, **scores, 'accuracy_ci95': both, 'macro_recall_ci95': [0.6, 0.8],
                 'macro_precision_ci95': None, 'calibration_error': 0.12},
        'model': {'name': 'alexnet', 'init': 'imagenet: alexnet.pth', 'parameters': 61_100_000},
        'train': {'epochs': 3, 'accuracy': 0.875}, 'seed': 7, **more,
    }  # fmt: skip


def text(**given):
    return model_card.text(results_of(**given), ROWS, 'my run')


def test_the_card_says_what_the_scores_say():
    card = text()
    for words in (
        '# Model card: alexnet on ward', '- Initial weights: imagenet: alexnet.pth', '- Parameters: 61,100,000',
        'alljax 0.1.0, 2026-11-25 15:00 UTC, seed 7', 'python launch.py --config=x.py', 'Not for diagnosis',
        'separates: 30, by patient or slide', 'fingerprint (SHA-256) f00d', '| monocyte | 50 | 50 | 0 | 20 |',
        '- Split: grouped, which separates no cells of one group.', '- Accuracy on the training cells: 87.5%',
        '- Accuracy: 72.5%, 95% interval over groups 61.0% to 83.0%',
        '- Macro precision: 75.6%, no interval over groups',
        'its 95% interval (over slides or patients)', '| monocyte | 20 | 55.0% | 50.0% to 61.1% | 84.6% |',
            'Not calibrated',
        'calibration error on the test cells: 12.0%',
        "alljax predict 'my run' image.tif", '72.5% of 40 cells on 5 new slides are right',
    ):  # fmt: skip
        assert words in card, words
    assert '**' not in card
    assert card.endswith('with pictures.\n')


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'leaky': True}, '**Leaky split (random): its numbers are too high for new patients.**'),
        ({'grouping': 'unknown'}, 'Nothing is known of patients, slides or repeats'),
        ({'transductive': {'uses': 'the set'}}, '**Transductive: the set.**'),
        ({'cross_validation': {'folds': [], 'final': 'final'}}, 'so it has no test of its own'),
        ({'weights': [{'name': 'alexnet.pth (V1)', 'license': 'BSD-3-Clause', 'address': 'https://x.org/a'}]},
         '- Published weights: alexnet.pth (V1), license BSD-3-Clause, from https://x.org/a'),
    ],
)  # fmt: skip
def test_what_limits_a_run_stands_on_its_card(given, words):
    assert words in text(**given)
    assert words not in text()


def test_the_terms_of_a_published_set_stand_on_the_card():
    made = results_of()
    card = model_card.text({**made, 'data': {**made['data'], 'name': 'acevedo2020'}}, ROWS, 'run')
    assert '- Terms and citation: Acevedo 2020: CC BY 4.0; cite A. Acevedo et al., "A dataset' in card
    assert 'Terms and citation' not in text()


def test_a_cross_validation_without_a_final_model_claims_none():
    folds = [{'folder': 'mine/grouped-fold-0'}]
    card = text(cross_validation={'folds': folds, 'final': ''})
    assert 'trained on all cells' not in card.replace('adds one that is trained on all cells', '')
    assert "alljax predict 'my run/mine/grouped-fold-0' image.tif" in card
    assert "alljax predict 'my run' image.tif" in text(cross_validation={'folds': folds, 'final': 'final'})
    assert 'copies of them' not in card
    leaky = results_of(leaky=True, cross_validation={'folds': folds, 'final': ''})
    leaky['split']['protocol'] = 'paper'
    assert 'but may have seen copies of them. This folder' in model_card.text(leaky, ROWS, 'run')


def test_a_cell_that_was_tested_four_times_counts_once_in_its_interval():
    card = text(cross_validation={'folds': [], 'final': 'final', 'repeats': 4}, grouping='unknown')
    low, high = intervals.wilson(3, 5)  # of 11 in 20
    assert f'| monocyte | 20 | 55.0% | {100 * low:.1f}% to {100 * high:.1f}% |' in card


def test_a_demo_says_so():
    drawn = results_of()
    drawn['data']['synthetic'] = True
    assert '**Demo on synthetic cells' in model_card.text(drawn, ROWS, 'run')


def test_the_worst_slides_are_shown_where_slides_are_known():
    assert '## Slides with most errors' in text()
    assert '| s1 | monocyte, lymphocyte |' in text() or '| s1 | lymphocyte, monocyte |' in text()
    assert '## Slides' not in text(grouping='unknown')


def test_an_external_test_and_a_calibration():
    outside = {'name': 'acevedo', 'n': 400, 'accuracy': 0.332, 'leaky': True, 'test': {},
               'accuracy_ci95': {'wilson': [0.28, 0.38], 'bootstrap_groups': [0.285, 0.378]}}  # fmt: skip
    card = text(external=outside)
    assert 'On acevedo, another set: accuracy 33.2% (28.5% to 37.8%) of 400 cells; **leaky**' in card
    test = {'error_before': 0.2, 'error_after': 0.1, 'covered': 0.9, 'set_size': 1.5, 'answered': 0.5,
            'accuracy_of_answered': 0.9,
            'covered_by_group': {'mean': 0.9, 'lowest': 0.5, 'groups': 5, 'groups_that_reach_it': 4}}  # fmt: skip
    known = {'coverage': 0.9, 'accuracy': 0.95, 'certain': 0.7, 'test': test}
    assert '- Accuracy of the answers: 90.0% (95.0% wanted)' in text(calibration=known)
    assert 'Not calibrated' not in text(calibration=known)


def test_names_from_outside_are_only_names():
    hostile = results_of(command=f'python launch.py ``` {EVIL}')
    hostile['data'] |= {'name': EVIL, 'counts': {EVIL: 3}}
    hostile['model'] |= {'name': EVIL, 'init': EVIL, EVIL: EVIL}
    rows = [{**row, 'group': EVIL} for row in ROWS]
    card = model_card.text(hostile, rows, 'run')
    outside_code = ''.join(card.split('````')[::2])
    assert '<img' not in outside_code.replace('\\<img', '')
    assert '\n# Heading' not in outside_code
    assert '](http' not in outside_code.replace('\\](http', '')
    assert len([line for line in card.splitlines() if line.startswith('# Model card')]) == 1


def test_names_cannot_steer_a_terminal_and_a_point_is_no_interval():
    steering = 'a\x1b[2J\u202eb'
    found = results_of(command=f'python launch.py {steering}')
    found['data'] |= {'name': steering}
    found['test'] |= {'accuracy_ci95': {'wilson': [0.6, 0.8], 'bootstrap_groups': [0.725, 0.725]}}
    found['test'] |= {'macro_precision_ci95': [0.756, 0.756]}
    card = model_card.text(found, [{**row, 'group': steering} for row in ROWS], f'run{steering}')
    assert '\x1b' not in card
    assert '\u202e' not in card
    assert r'a\\x1b\[2J\\u202eb' in card
    assert r'python launch.py a\x1b[2J\u202eb' in card
    assert '- Accuracy: 72.5%, no interval over groups' in card
    assert '- Macro precision: 75.6%, no interval over groups' in card


def test_the_card_is_written_beside_the_report(tmp_path):
    model_card.write(tmp_path, results_of(), ROWS)
    assert (tmp_path / model_card.FILE).read_text(encoding='utf-8') == model_card.text(
        results_of(), ROWS, tmp_path.name
    )


def test_a_system_is_named_with_what_it_measures_by():
    system = {'name': 'vogado2017', 'parts': 'network → logistic', 'network': 'alexnet'}
    assert model_card.name(system) == 'vogado2017 (network → logistic; alexnet)'
    assert model_card.name({'name': 'alexnet'}) == 'alexnet'
