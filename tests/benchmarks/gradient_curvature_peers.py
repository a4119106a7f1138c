"""The calls that gradients.py compares with: gradients of single examples, curvature, uncertainty and influence.

Of torch, BackPACK, curvlinops, laplace-torch, captum and traker. (PyHessian's density fails with torch 2.)
"""

import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from gradient_rows import DAMPING, EIGENVALUES, FEW, ITERATIONS, TESTED
from gradient_torch import Theirs

Call = Callable[[Theirs], Callable[[], Any]]


def backpack(name: str, saved: str, reduction: str) -> Call:
    """An extension of BackPACK, in a pass back of the loss."""

    def made(net: Theirs) -> Callable[[], Any]:
        import backpack.extensions

        known = backpack.extend(_chain(net.net))
        loss = backpack.extend(torch.nn.CrossEntropyLoss(reduction=reduction))
        extension = getattr(backpack.extensions, name)()

        def run() -> Any:
            known.zero_grad()
            with backpack.backpack(extension):
                loss(known(net.x), net.y).backward()
            return [getattr(leaf, saved) for leaf in known.parameters()]

        return run

    return made


def _chain(net: Any) -> torch.nn.Module:
    """AlexNet as a chain, which BackPACK's curvature wants; its average pooling changes nothing at this size."""
    if isinstance(net, torch.nn.Sequential):
        return net
    return torch.nn.Sequential(*net.features, torch.nn.Flatten(), *net.classifier[:6], *net.classifier[6])


def hessian_product(net: Theirs) -> Callable[[], Any]:
    """torch's double backward."""

    def run() -> Any:
        parameters = list(net.net.parameters())
        value = torch.nn.functional.cross_entropy(net.net(net.x), net.y)
        first = torch.autograd.grad(value, parameters, create_graph=True)
        return torch.autograd.grad(first, parameters, [torch.ones_like(leaf) for leaf in parameters])

    return run


def operator(net: Theirs, name: str, **options: Any) -> Any:
    """A matrix of curvlinops."""
    import curvlinops

    data = [(net.x, net.y)]
    known = list(net.net.parameters())
    form = getattr(curvlinops, name)
    return form(net.net, torch.nn.CrossEntropyLoss(), known, data, check_deterministic=False, **options)


def gauss_newton_product(net: Theirs) -> Callable[[], Any]:
    """curvlinops' Gauss-Newton matrix times ones."""
    op = operator(net, 'GGNLinearOperator')
    ones = [torch.ones_like(leaf) for leaf in net.net.parameters()]
    return lambda: op @ ones


def eigenvalues(net: Theirs) -> Callable[[], Any]:
    """SciPy's Lanczos method on curvlinops' Hessian, to a part in a million."""
    from scipy.sparse.linalg import eigsh

    op = operator(net, 'HessianLinearOperator').to_scipy()
    return partial(eigsh, op, EIGENVALUES, which='LA', tol=1e-6, return_eigenvectors=False)


def trace(net: Theirs) -> Callable[[], Any]:
    """curvlinops' trace by Hutchinson's method."""
    import curvlinops

    return partial(curvlinops.hutchinson_trace, operator(net, 'HessianLinearOperator'), FEW)


def density(net: Theirs) -> Callable[[], Any]:
    """curvlinops' stochastic Lanczos quadrature, between ends that are given: else it looks for them first."""
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    return partial(
        lanczos_approximate_spectrum, operator(net, 'HessianLinearOperator'), ITERATIONS, boundaries=(-100.0, 100.0)
    )


def solved(name: str) -> Call:
    """curvlinops' Kronecker factors, and their inverse times a gradient."""

    def made(net: Theirs) -> Callable[[], Any]:
        import curvlinops

        way = [leaf.detach() for leaf in net.net.parameters()]

        def run() -> Any:
            op = operator(net, name, fisher_type='type-2', separate_weight_and_bias=False)
            return curvlinops.KFACInverseLinearOperator(op, damping=DAMPING, use_exact_damping=True) @ way

        return run

    return made


def laplace(subset: str) -> Call:
    """laplace-torch's approximation with Kronecker factors, and its predictions."""

    def made(net: Theirs) -> Callable[[], Any]:
        import laplace

        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(net.x, net.y), batch_size=len(net.x))

        def run() -> Any:
            found = laplace.Laplace(
                net.net, 'classification', subset_of_weights=subset, hessian_structure='kron', prior_precision=1.0
            )
            found.fit(data)
            return found(net.x, pred_type='glm', link_approx='probit')

        return run

    return made


def tracin(*, last: bool) -> Call:
    """captum's TracIn of one checkpoint, which is in memory."""

    def made(net: Theirs) -> Callable[[], Any]:
        from captum.influence import TracInCP, TracInCPFast

        data = torch.utils.data.TensorDataset(net.x, net.y)
        options: dict[str, Any] = {
            'checkpoints': [''], 'checkpoints_load_func': lambda *_: 1.0, 'batch_size': len(net.x),
            'loss_fn': torch.nn.CrossEntropyLoss(reduction='sum'),
        }  # fmt: skip
        if last:
            found: Any = TracInCPFast(net.net, net.net.classifier[6][2], data, **options)
        else:
            found = TracInCP(net.net, data, sample_wise_grads_per_batch=True, **options)
        return lambda: found.influence((net.x, net.y))

    return made


def trak(net: Theirs) -> Callable[[], Any]:
    """traker's TRAK with its projector for processors; it keeps its arrays in files."""
    from trak import TRAKer
    from trak.projectors import BasicProjector

    weights = net.net.state_dict()
    size = sum(leaf.numel() for leaf in weights.values())
    test = net.x[:TESTED], net.y[:TESTED]

    def run() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            traker = TRAKer(
                net.net, 'image_classification', len(net.x), folder, device='cpu', use_half_precision=False,
                projector=BasicProjector(size, 512, 0, 'rademacher', 'cpu'), lambda_reg=1.0, logging_level=40,
            )  # fmt: skip
            traker.load_checkpoint(weights, 0)
            traker.featurize((net.x, net.y), num_samples=len(net.x))
            traker.finalize_features()
            traker.start_scoring_checkpoint('scores', weights, 0, len(test[0]))
            traker.score(test, num_samples=len(test[0]))
            return traker.finalize_scores('scores')

    return run


PEERS: dict[str, Call] = {
    'per-example norms': backpack('BatchL2Grad', 'batch_l2', 'sum'),
    'per_example_gradients': backpack('BatchGrad', 'grad_batch', 'sum'),
    'empirical Fisher diagonal': backpack('SumGradSquared', 'sum_grad_squared', 'mean'),
    'Gauss-Newton diagonal': backpack('DiagGGNExact', 'diag_ggn_exact', 'mean'),
    'Hessian product': hessian_product,
    'Gauss-Newton product': gauss_newton_product,
    'eigenvalues': eigenvalues,
    'stochastic_trace': trace,
    'spectral_density': density,
    'K-FAC, solved': solved('KFACLinearOperator'),
    'EK-FAC, solved': solved('EKFACLinearOperator'),
    'Laplace, last layer': laplace('last_layer'),
    'Laplace, K-FAC': laplace('all'),
    'tracin': tracin(last=False),
    'tracin, last layer': tracin(last=True),
    'trak': trak,
}
