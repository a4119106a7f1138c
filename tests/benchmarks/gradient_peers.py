"""The calls of captum, grad-cam and quantus that gradients.py compares with: attributions and their measures."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import captum.attr
import captum.metrics
import torch
from gradient_rows import DELETED, FEW, RADIUS, SAMPLES, STEPS, STRIDE, WINDOW, blocks
from gradient_torch import Theirs

Call = Callable[[Theirs], Callable[[], Any]]


def attributed(method: Any, *, layer: bool = False, **options: Any) -> Call:
    """An attribution method of captum, of AlexNet's last convolution where it takes a layer."""

    def made(net: Theirs) -> Callable[[], Any]:
        found = method(net.net, net.net.features[10]) if layer else method(net.net)
        return partial(found.attribute, net.x, target=net.y, **options)

    return made


def smoothgrad(net: Theirs) -> Callable[[], Any]:
    """SmoothGrad."""
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(net.net))
    return partial(tunnel.attribute, net.x, nt_samples=SAMPLES, stdevs=0.15, target=net.y, abs=False)


def shap(net: Theirs) -> Callable[[], Any]:
    """GradientSHAP from a baseline of zeros."""
    found = captum.attr.GradientShap(net.net)
    return partial(found.attribute, net.x, torch.zeros_like(net.x[:1]), FEW, 0.0, target=net.y)


def score_cam(net: Theirs) -> Callable[[], Any]:
    """Score-CAM."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    found = pytorch_grad_cam.ScoreCAM(net.net, [net.net.features[10]])
    found.batch_size = 32
    return lambda: found(net.x, [ClassifierOutputTarget(int(label)) for label in net.y])


def occlusion(net: Theirs) -> Callable[[], Any]:
    """Occlusion, all places at once."""
    found = captum.attr.Occlusion(net.net)
    return partial(
        found.attribute, net.x, (3, WINDOW, WINDOW), (3, STRIDE, STRIDE), target=net.y, perturbations_per_eval=36
    )


def ablation(net: Theirs) -> Callable[[], Any]:
    """Superpixels hidden one by one, all at once."""
    parts = torch.tensor(blocks(net.x.shape[-1], 6))[None, None]
    found = captum.attr.FeatureAblation(net.net)
    return partial(found.attribute, net.x, target=net.y, feature_mask=parts, perturbations_per_eval=36)


def infidelity(net: Theirs) -> Callable[[], Any]:
    """Infidelity of the gradient's map, all samples at once."""
    found = captum.attr.Saliency(net.net).attribute(net.x, target=net.y, abs=False)

    def changed(x: Any) -> Any:
        noise = 0.1 * torch.randn_like(x)
        return noise, x - noise

    return partial(captum.metrics.infidelity, net.net, changed, net.x, found, target=net.y, n_perturb_samples=FEW)


def sensitivity(net: Theirs) -> Callable[[], Any]:
    """The gradient's sensitivity, all samples at once."""
    method = partial(captum.attr.Saliency(net.net).attribute, abs=False)
    measure = partial(captum.metrics.sensitivity_max, method, net.x, perturb_radius=RADIUS)
    return partial(measure, n_perturb_samples=10, target=net.y)


def road(net: Theirs) -> Callable[[], Any]:
    """ROAD of the gradient's map, without its noise."""
    from pytorch_grad_cam.metrics.road import ROADMostRelevantFirst
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    maps = captum.attr.Saliency(net.net).attribute(net.x, target=net.y, abs=False).sum(1).numpy()
    targets = [ClassifierOutputSoftmaxTarget(int(label)) for label in net.y]

    def run() -> Any:
        return [ROADMostRelevantFirst(percentile=part)(net.x, maps, targets, net.net) for part in range(10, 100, 10)]

    return run


def quantus(name: str, **options: Any) -> Call:
    """A measure of quantus, of the gradient's map."""

    def made(net: Theirs) -> Callable[[], Any]:
        import quantus

        found = captum.attr.Saliency(net.net).attribute(net.x, target=net.y, abs=False)
        x, y, maps = net.x.numpy(), net.y.numpy(), found.numpy()
        measure = getattr(quantus, name)(
            normalise=False, abs=False, disable_warnings=True, display_progressbar=False, **options
        )

        def run() -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                return measure(model=net.net, x_batch=x, y_batch=y, a_batch=maps, device='cpu', batch_size=len(x))

        return run

    return made


PEERS: dict[str, Call] = {
    'saliency': attributed(captum.attr.Saliency, abs=False),
    'integrated_gradients': attributed(captum.attr.IntegratedGradients, n_steps=STEPS),
    'smoothgrad': smoothgrad,
    'guided_backprop': attributed(captum.attr.GuidedBackprop),
    'deep_lift': attributed(captum.attr.DeepLift),
    'gradient_shap': shap,
    'grad_cam': attributed(captum.attr.LayerGradCam, layer=True),
    'guided_grad_cam': attributed(captum.attr.GuidedGradCam, layer=True, interpolate_mode='bilinear'),
    'score_cam': score_cam,
    'layer_conductance': attributed(captum.attr.LayerConductance, layer=True, n_steps=FEW),
    'occlusion': occlusion,
    'superpixel_ablation': ablation,
    'infidelity': infidelity,
    'max_sensitivity': sensitivity,
    'deletion': quantus('PixelFlipping', features_in_step=3 * 32 * 32 // DELETED),
    'road': road,
}
