from PIL import Image

from alljax.evaluation import gradient_curves

LAYERS = ('conv2', 'conv10', 'conv1', 'head/hidden', 'head/logits', 'fc6')


def rows(layers=LAYERS):
    keys = ('gradient_norm', 'update_ratio', 'noise_scale', 'class_conflict')
    looked = [{f'{key}/{layer}': 0.1 * step for key in keys for layer in layers} for step in (2, 4)]
    return [{'step': 1, 'epoch': 0.5, 'loss': 1.0}, *({'step': n, 'epoch': n / 2, **row} for n, row in
                                                      zip((2, 4), looked, strict=True))]  # fmt: skip


def test_layers_are_in_the_order_of_their_numbers_and_the_new_ones_last():
    assert gradient_curves._layers(rows()) == ['conv1', 'conv2', 'conv10', 'fc6', 'head/hidden', 'head/logits']


def test_a_run_that_never_looked_is_told_from_one_that_did():
    assert gradient_curves.has_gradients(rows())
    assert not gradient_curves.has_gradients(rows()[:1])


def test_panels_are_drawn_of_deep_networks_and_of_missing_numbers_too(tmp_path, fine_figures):
    deep = rows([f'layer{n}_0/conv1' for n in range(40)] + ['head/logits'])
    deep[1] = {key: value for key, value in deep[1].items() if not key.startswith('noise_scale')}
    gradient_curves.curves(deep, tmp_path / 'curves.png', title='synthetic cells')
    with Image.open(tmp_path / 'curves.png') as picture:
        assert picture.width > 1500


def test_a_panel_is_drawn_of_what_was_looked_at_alone(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(gradient_curves, '_style', lambda axes, label, kind: drawn.append((label, len(axes.lines))))
    looks = [{'step': 3, 'epoch': 1.5, 'largest_curvature': -2.0, 'cka/conv1': 0.9, 'step_cosine/all': -0.4}]
    gradient_curves.curves(rows() + looks, tmp_path / 'curves.png')
    assert len(drawn) == 7
    assert dict(drawn)['largest eigenvalue of the Hessian'] == 1
    assert dict(drawn)['alike the epoch before (linear CKA)'] == 1
    assert dict(drawn)['gradient norm (loss per unit of weight)'] == len(LAYERS)
