"""The published sets on tiny copies of their layouts: classes, groups, sides, and what is wrong with a folder."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from set_copies import RNG, archive, written

from alljax.data import datasets
from alljax.data.datasets import DATASETS, DataOptions, recognized
from alljax.errors import UserError

C_NMC_TABLE = 'Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\nUID_H70_2_1_hem.bmp,2.bmp,0\n'


def listed(name, root, task):
    return DATASETS[name].list_cells(root, task)


def counts(listing):
    return Counter(record.label for record in listing.records)


def groups(listing):
    return {record.file.rpartition('/')[2]: record.group for record in listing.records}


def c_nmc(root):
    home = root / 'PKG - C-NMC 2019'
    written(home, [f'C-NMC_training_data/fold_{f}/all/UID_{f}_1_{c}_all.bmp' for f in (0, 1, 2) for c in (1, 2)])
    written(home, [f'C-NMC_training_data/fold_{f}/hem/UID_H{f}_1_{c}_hem.bmp' for f in (0, 1, 2) for c in (1, 2)])
    written(home, [f'C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data/{n}.bmp' for n in (1, 2)])
    (home / 'C-NMC_test_prelim_phase_data/C-NMC_test_prelim_phase_data_labels.csv').write_text(C_NMC_TABLE)
    return written(home, [f'C-NMC_test_final_phase_data/C-NMC_test_final_phase_data/{n}.bmp' for n in (1, 2)])


def test_c_nmc_has_subjects_and_the_published_sides(tmp_path):
    root = c_nmc(tmp_path)
    assert recognized(tmp_path) == recognized(root) == ('c_nmc_2019', 'detection')
    listing = listed('c_nmc_2019', root, 'detection')
    assert not listing.problems
    assert counts(listing) == {'blast': 7, 'normal': 7}
    assert (listing.classes, listing.grouping) == (('blast', 'normal'), 'patient or slide')
    named = groups(listing)
    assert named['UID_1_1_1_all.bmp'] == named['UID_1_1_2_all.bmp'] == 'UID_1'
    assert (named['UID_H1_1_1_hem.bmp'], named['1.bmp'], named['2.bmp']) == ('UID_H1', 'UID_57', 'UID_H70')
    assert Counter(listing.sides.values()) == {'train': 12, 'test': 2}
    said = '\n'.join(listing.notes)
    assert 'C-NMC 2019: CC BY 3.0; cite A. Gupta' in said
    assert 'of the final test set, whose labels were not published' in said
    assert '14 of the 12,528 published pictures' in said


def test_all_problems_of_c_nmc_are_told_together(tmp_path):
    root = c_nmc(tmp_path)
    written(root, ['C-NMC_training_data/fold_0/all/UID_H9_1_1_hem.bmp', 'C-NMC_training_data/fold_1/all/other.bmp'])
    next(root.rglob('*labels.csv')).write_text(
        C_NMC_TABLE.replace('1.bmp,1\n', '1.bmp,0\n').replace(',2.bmp', ',9.bmp')
    )
    said = '\n'.join(listed('c_nmc_2019', root, 'detection').problems)
    for words in (
        'fold_0/all/UID_H9_1_1_hem.bmp: named hem in a folder all',
        'other.bmp: not named as in the set',
        '1.bmp: labelled normal in C-NMC_test_prelim',
        '2.bmp: without a line in C-NMC_test_prelim',
    ):
        assert words in said


def test_c_nmc_as_kaggle_has_it(tmp_path):
    written(tmp_path, ['C-NMC_Leukemia/training_data/fold_0/all/UID_1_1_1_all.bmp'])
    written(tmp_path, ['C-NMC_Leukemia/training_data/fold_0/hem/UID_H1_1_1_hem.bmp'])
    written(tmp_path, ['C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data/1.bmp'])
    written(tmp_path, ['C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data/1.bmp'])
    (tmp_path / 'C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data_labels.csv').write_text(C_NMC_TABLE)
    listing = listed('c_nmc_2019', tmp_path, 'detection')
    assert not listing.problems
    assert Counter(listing.sides.values()) == {'train': 2, 'test': 1}


def aml(root):
    names = [f'AML-Cytomorphology/{code}/{code}_{n:04}.tiff' for code in ('NGS', 'MYO', 'MOB', 'PMO') for n in (1, 2)]
    lines = [f'{name.removeprefix("AML-Cytomorphology/")} {name.split("/")[1]} nan nan' for name in names]
    lines[0] = 'NGS/NGS_0001.tiff NGS NGB NGS'
    (root / 'AML-Cytomorphology').mkdir()
    (root / 'annotations.dat').write_text('\n'.join(lines) + '\n')
    return written(root, names)


def test_aml_munich_by_class_and_as_blast_or_normal(tmp_path):
    root = aml(tmp_path)
    assert recognized(root) == ('aml_munich', 'classes')
    listing = listed('aml_munich', root, 'classes')
    assert not listing.problems
    assert listing.classes == ('monoblast', 'myeloblast', 'segmented neutrophil', 'promyelocyte')
    assert (listing.grouping, len({record.group for record in listing.records})) == ('unknown', 8)
    said = '\n'.join(listing.notes)
    assert 'experts looked at 1 of the 8 cells again, and gave 1 another label at least once' in said
    detection = listed('aml_munich', root, 'detection')
    assert counts(detection) == {'blast': 4, 'normal': 2}
    assert any('neither blasts nor cells of healthy blood' in note for note in detection.notes)
    (root / 'annotations.dat').write_text('NGS/NGS_0001.tiff MON nan nan\n')
    assert 'annotations.dat has another label for it' in listed('aml_munich', root, 'classes').problems[0]


def test_acevedo_2020_takes_any_of_its_eight_folders(tmp_path):
    root = tmp_path / 'PBC_dataset_normal_DIB'
    written(root, [f'basophil/BA_{n}.jpg' for n in (1, 2)] + [f'ig/MMY_{n}.jpg' for n in (3, 4)])
    assert recognized(tmp_path) == ('acevedo2020', 'classes')
    listing = listed('acevedo2020', root, 'classes')
    assert counts(listing) == {'basophil': 2, 'immature granulocyte': 2}
    assert listing.classes == ('basophil', 'immature granulocyte')
    assert any('eosinophil, erythroblast, lymphocyte' in note for note in listing.notes)
    (root / 'groups.csv').write_text('file,group,repeat\nBA_1.jpg,g,r\nBA_2.jpg,g,r\n')
    grouped = listed('acevedo2020', root, 'classes')
    assert groups(grouped)['BA_1.jpg'] == groups(grouped)['BA_2.jpg'] == 'g'
    assert grouped.grouping == 'repeats only'
    written(root, ['stranger/x.jpg'])
    assert 'stranger/x.jpg: not named as in the set' in listed('acevedo2020', root, 'classes').problems[0]
    (root / 'cells.csv').write_text('file,label,group\n')
    assert recognized(root) == ('folder', 'classes')  # the user's own table makes it class folders


def test_raabin_tells_a_smear_only_where_names_do(tmp_path):
    written(tmp_path, ['Train/Basophil/95-5-11-1_12.jpg', 'Train/Neutrophil/95-5-11-1_7.jpg', 'Train/Neutrophil/b.jpg'])
    written(tmp_path, ['TestA/Basophil/c.jpg', 'TestB/Neutrophil/d.jpg'])
    assert recognized(tmp_path) == ('raabin', 'classes')
    listing = listed('raabin', tmp_path, 'classes')
    named = groups(listing)
    assert named['95-5-11-1_12.jpg'] == named['95-5-11-1_7.jpg'] == 'smear 95-5-11-1'
    assert named['b.jpg'] == 'Train/Neutrophil/b.jpg'
    assert listing.grouping != 'patient or slide'
    assert Counter(listing.sides.values()) == {'train': 3, 'test': 1, 'other': 1}


def test_all_idb1_is_fields_with_a_blast_or_without(tmp_path):
    written(tmp_path, ['ALL_IDB1/im/Im001_1.jpg', 'ALL_IDB1/im/Im034_0.jpg', 'ALL_IDB1/im/Im093_0.jpg'])
    (tmp_path / 'ALL_IDB1/im/Im108_0.jpg').write_bytes((tmp_path / 'ALL_IDB1/im/Im093_0.jpg').read_bytes())
    assert recognized(tmp_path) == ('all_idb1', 'detection')
    cells = datasets.load(DataOptions('auto', str(tmp_path), 'detection', size=64), 0)
    assert cells.counts() == {'blast': 1, 'normal': 3}
    assert (cells.origin.name, cells.origin.grouping, len(set(cells.groups))) == ('all_idb1', 'repeats only', 3)
    assert cells.repeats.tolist() == [-1, -1, 0, 0]
    assert any('no .xyc beside' in note and 'an arrow is drawn' in note for note in cells.origin.notes)
    (tmp_path / 'ALL_IDB1/Im001_1.jpg').write_bytes((tmp_path / 'ALL_IDB1/im/Im001_1.jpg').read_bytes())
    assert 'Im001: are here more than once' in listed('all_idb1', tmp_path, 'detection').problems[0]


def test_aria_2021_leaves_segmented_fields_out_and_covers_scale_bars(tmp_path):
    kinds = {'Benign': 'Benign', 'Early': 'Malignant-Early', 'Pre': 'Malignant-Pre', 'Pro': 'Malignant-Pro'}
    written(tmp_path, [f'{v}/{k}/WBC-{n}-001.jpg' for v in ('Original', 'Segmented') for k, n in kinds.items()], 64)
    field = np.full((120, 120, 3), (200, 170, 190), np.uint8) + RNG.integers(0, 9, (120, 120, 3), np.uint8)
    field[100:104, 70:110] = 0
    Image.fromarray(field).save(tmp_path / 'Original/Benign/WBC-Benign-002.png')
    assert recognized(tmp_path) == ('all_aria2021', 'classes')
    listing = listed('all_aria2021', tmp_path, 'classes')
    assert not listing.problems
    assert counts(listing) == {'benign': 2, 'early': 1, 'pre': 1, 'pro': 1}
    assert any('a segmented version of another picture' in note for note in listing.notes)
    assert counts(listed('all_aria2021', tmp_path, 'detection')) == {'normal': 2, 'blast': 3}
    read = listing.read(tmp_path / 'Original/Benign/WBC-Benign-002.png')
    assert read.pixels.min() > 150
    assert read.note == 'a scale bar drawn over it was covered'
    assert (read.pixels[:90] == field[:90]).all()


def test_medmnist_blood_reads_pictures_out_of_the_archive(tmp_path):
    made = archive(tmp_path / 'bloodmnist.npz')
    assert recognized(tmp_path) == recognized(tmp_path / 'bloodmnist.npz') == ('medmnist_blood', 'classes')
    cells = datasets.load(DataOptions('auto', str(tmp_path / 'bloodmnist.npz'), 'auto', size=28), 0)
    assert cells.counts() == {'basophil': 4, 'immature granulocyte': 4}
    assert cells.names[0] == 'bloodmnist.npz/test/00000'
    assert cells.sides == ('test',) * 2 + ('train',) * 4 + ('validation',) * 2
    np.testing.assert_array_equal(cells.images[2], made['train_images'][0])
    assert cells.groups[0] == cells.groups[2]  # equal pictures
    assert cells.origin.grouping == 'repeats only'
    assert any('CC BY 4.0; cite J. Yang' in note for note in cells.origin.notes)
    assert any('the published split is by picture' in note for note in cells.origin.notes)


def test_pictures_of_an_archive_are_audited_like_files(tmp_path):
    archive(tmp_path / 'bloodmnist_64.npz')
    options = DataOptions('medmnist_blood', str(tmp_path), 'classes', size=28, groups='audit')
    assert datasets.load(options, 0).groups[0] == datasets.load(options, 0).groups[2]


def test_a_damaged_archive_and_several_are_told(tmp_path):
    (tmp_path / 'bloodmnist.npz').write_bytes(b'PK no archive')
    said = '\n'.join(listed('medmnist_blood', tmp_path, 'classes').problems)
    assert 'bloodmnist.npz: is' in said
    assert 'replace it by an intact copy' in said
    archive(tmp_path / 'bloodmnist_64.npz')
    with pytest.raises(UserError, match='expected one archive of BloodMNIST'):
        listed('medmnist_blood', tmp_path, 'classes')


@pytest.mark.parametrize(
    ('name', 'pictures', 'beside'),
    [
        ('bccd', 'BCCD/JPEGImages/BloodImage_00000.jpg', 'BCCD/Annotations/BloodImage_00000.xml'),
        ('chula_wbc', 'train/images/B-30_0047.jpg', 'train/labels/B-30_0047.txt'),
    ],
)
def test_sets_of_boxes_say_how_cells_are_made(name, pictures, beside, tmp_path):
    written(tmp_path, [pictures])
    (tmp_path / beside).parent.mkdir(parents=True)
    (tmp_path / beside).write_text('0 0.5 0.5 0.1 0.1\n')
    assert recognized(tmp_path) == (name, 'classes')
    with pytest.raises(UserError, match=f'alljax crops {tmp_path} OUT`, then name OUT with --config.data.root'):
        datasets.load(DataOptions('auto', str(tmp_path), 'auto', size=64), 0)


@pytest.mark.parametrize('name', [name for name, dataset in DATASETS.items() if dataset.source and not dataset.fields])
def test_a_folder_without_a_picture_of_the_set_is_told(name, tmp_path):
    (tmp_path / 'paper.pdf').write_text('x')
    with pytest.raises(UserError, match=f'{tmp_path}: holds paper.pdf'):
        listed(name, tmp_path, next(iter(DATASETS[name].tasks)))
