import textwrap

import pytest

from alljax.errors import UserError
from alljax.sweep import Sweep, Variant, across
from alljax.sweep.variants import folds, list_runs, load_sweep
from configs import common, learning_curve, subtype, table1, table2_3_5, table4, table6, transfer_domain
from configs.ablations import architectures, denoise, equalise, learning_rate


def config(**split):
    values = common.get_config()
    values.split.update(split)
    return values


def test_a_hold_out_is_one_fold_and_a_cross_validation_all():
    assert folds(config()) == [{'split.repeat': 0, 'split.fold': 0}]
    assert len(folds(config(folds=5, repeats=3))) == 15
    assert folds(config(folds=5, fold=2, repeats=2)) == [
        {'split.repeat': 0, 'split.fold': 2},
        {'split.repeat': 1, 'split.fold': 2},
    ]


def test_one_group_left_out_is_a_fold_for_each_group():
    left_out = config(protocol='leave_one_group_out')
    assert [fold['split.fold'] for fold in folds(left_out, 4)] == [0, 1, 2, 3]
    assert folds(config(protocol='leave_one_group_out', fold=7), 9) == [{'split.repeat': 0, 'split.fold': 7}]
    sweep = Sweep('t', [Variant('a', {})], ('grouped', 'leave_one_group_out'))
    runs = list_runs(sweep, config(folds=2), lambda values: 3 if values.split.protocol == 'leave_one_group_out' else 0)
    assert [run.folder for run in runs] == [
        'a/grouped-fold-0', 'a/grouped-fold-1', *(f'a/leave_one_group_out-fold-{fold}' for fold in range(3)),
    ]  # fmt: skip
    assert runs[-1].fields['split.fold'] == 2


def test_every_cell_protocol_and_fold_has_a_folder_of_its_own():
    sweep = Sweep('t', [Variant('HSV, subtype', {'data.color': 'HSV'}), Variant('b', {})])
    runs = list_runs(sweep, config(folds=3))
    assert len(runs) == len({run.folder for run in runs}) == 12
    assert runs[0].folder == 'HSV-subtype/paper-fold-0'
    assert dict(runs[0].fields) == {
        'data.color': 'HSV',
        'split.protocol': 'paper',
        'split.repeat': 0,
        'split.fold': 0,
    }
    assert str(runs[0]) == 'HSV, subtype, paper fold 1 (fold-0)'
    assert [run.folder for run in list_runs(sweep, config())][:2] == ['HSV-subtype/paper', 'HSV-subtype/grouped']


def test_a_plain_config_is_one_run_or_its_folds(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text('from configs.subtype import get_config\n')
    sweep = load_sweep(path, config())
    assert not sweep.declared
    assert list_runs(sweep, config())[0].fields == {}
    runs = list_runs(sweep, config(folds=2, repeats=2))
    assert [run.folder for run in runs] == [f'mine/grouped-repeat-{r}-fold-{f}' for r in (0, 1) for f in (0, 1)]


def test_a_sweep_may_take_the_config_or_nothing(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        textwrap.dedent("""
        from alljax.sweep import Variant, Sweep
        def sweep():
            return Sweep('mine', [Variant('a', {'seed': 3})])
        """)
    )
    assert load_sweep(path, config()).variants[0].fields == {'seed': 3}


def test_mistakes_in_a_sweep_are_told_together(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        textwrap.dedent("""
        from alljax.sweep import Variant, Sweep
        def sweep(config):
            cells = [Variant('a', {'sed': 3}), Variant('b', {'epochs': 1}), Variant('b', {}, against='c')]
            return Sweep('mine', cells)
        """)
    )
    with pytest.raises(UserError) as error:
        load_sweep(path, config(), {'epochs': '3', 'split.protocol': 'grouped'})
    said = str(error.value)
    assert 'sweep() sets sed, which is no field' in said
    assert "two variants named 'b'" in said
    assert "compared with 'c', but there are a, b, b" in said
    assert '--config.epochs: is varied by sweep()' in said
    assert '--config.split.protocol: is varied' in said


def test_across_gives_a_cell_for_each_value_and_task():
    cells = across('model.head', (1024, 2048), config=subtype.get_config(), printed={'detection': (0.9, 0.8)})
    assert [cell.name for cell in cells] == ['1024, subtype', '2048, subtype', '1024, detection', '2048, detection']
    assert [cell.against for cell in cells] == ['', '1024, subtype', '', '1024, detection']
    assert cells[3].fields == {'model.head': 2048, 'data.task': 'detection'}
    assert cells[3].printed['macro_precision'] == 0.8
    assert cells[0].printed['macro_precision'] is None
    folder = subtype.get_config()
    folder.data.task = 'classes'
    cells = across('model.head', (1024, 2048), config=folder)
    assert [cell.name for cell in cells] == ['1024', '2048']
    assert cells[1].fields == {'model.head': 2048}  # the user says data.task=classes


@pytest.mark.parametrize(
    'module', [table1, table2_3_5, table4, table6, architectures, denoise, equalise, learning_rate]
)
def test_the_sweeps_of_the_paper_are_whole(module):
    values = module.get_config()
    assert (
        values.augment.copies == 'published'
    )  # on both sides of the table, else they would differ in more than splits
    sweep = load_sweep(module.__file__, values)
    assert len(list_runs(sweep, values)) == 2 * len(sweep.variants)
    assert sweep.protocols == ('paper', 'grouped')


def test_printed_numbers_are_the_paper_s():
    cells = {cell.name: cell for cell in load_sweep(table1.__file__, table1.get_config()).variants}
    assert len(cells) == 8
    assert cells['HSV, subtype'].printed['macro_precision'] == pytest.approx(0.8313)
    assert cells['HCbCr, detection'].printed['macro_precision'] == pytest.approx(0.9686)
    cells = {cell.name: cell for cell in load_sweep(table4.__file__, table4.get_config()).variants}
    assert cells['4096, subtype'].printed['macro_precision'] == pytest.approx(0.9577)
    assert cells['1024, detection'].printed['macro_precision'] == pytest.approx(0.9950)
    subtypes = load_sweep(table2_3_5.__file__, table2_3_5.get_config()).variants[1]
    assert subtypes.printed['per_class.L2.recall'] == pytest.approx(0.9482)
    assert subtypes.printed['per_class.L2.precision'] == pytest.approx(0.9333)


@pytest.mark.parametrize(
    ('returned', 'found'),
    [
        ("['a']", 'found list'),
        ("Sweep('t', [])", 'without variants'),
        ("Sweep('t', [Variant('a', {})], ())", 'or protocols'),
    ],
)
def test_a_sweep_of_nothing_is_told(tmp_path, returned, found):
    path = tmp_path / 'mine.py'
    path.write_text(f'from alljax.sweep import Variant, Sweep\ndef sweep():\n    return {returned}\n')
    with pytest.raises(UserError, match=f'at least one variant and one protocol; .*{found}'):
        load_sweep(path, config())


def test_a_learning_curve_cuts_slides_or_cells_and_a_transfer_adds_those_of_the_other_laboratory():
    values = learning_curve.get_config()
    varied = [dict(variant.fields) for variant in learning_curve.sweep(values).variants]
    assert varied[0] == {'split.train_groups': 1}
    assert varied[-2:] == [{'split.train_cells': 40}, {}]
    assert len(list_runs(learning_curve.sweep(values), values)) == 9 * 15
    values = transfer_domain.get_config()
    assert [dict(variant.fields) for variant in transfer_domain.sweep(values).variants] == [
        {'test.adapt_cells': count} for count in (0, 1, 5, 20)
    ]
    values.by, values.counts = 'adapt_groups', (0, 2)
    assert transfer_domain.sweep(values).variants[1] == Variant(
        '2 slides', {'test.adapt_groups': 2}, against='0 slides'
    )
