"""Every map on complex, multi-coil and product-range operators: built, trained, used in ODL."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, conformance, data, learning, networks, operators, regularizers
from odl_learned import reconstruction as R

SHAPE = (6, 8)


def complex_one(rng):
    X = odl.uniform_discr([0, 0], [1, 1], SHAPE, dtype="complex128")
    mask = rng.random(SHAPE) < 0.6
    mask[3, 4] = True  # frequency zero, of which no penalty of differences knows
    return operators.SampledFourier(X, mask)


def multicoil(rng):
    X = odl.uniform_discr([0, 0], [1, 1], SHAPE, dtype="complex128")
    coils = data.simulated_sensitivities(X, 3)
    return operators.normalized(operators.MultiCoilFourier(X, rng.random(SHAPE) < 0.4, coils))


def product(rng):
    """Two real measurements of one image, stacked: an image behind a mask, and blurred."""
    X = odl.uniform_discr([0, 0], [1, 1], SHAPE)
    blur = operators.PeriodicConvolution(X, operators.gaussian_kernel(X, 0.15))
    return operators.normalized(odl.BroadcastOperator(
        operators.mask_operator(X, rng.random(SHAPE) < 0.5), blur))


OPERATORS = {"complex": complex_one, "multi-coil": multicoil, "product range": product}


class Parts:
    """The modules of an operator, and networks for its images and data."""

    def __init__(self, A):
        self.A, self.X, self.Y = A, A.domain, A.range
        self.forward, self.adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
        self.reals = 2 if A.domain.is_complex else 1
        self.components = int(isinstance(A.range, odl.ProductSpace))
        self.coils = len(A.range) if self.components else 1
        self.generator = torch.Generator().manual_seed(0)

    def cnn(self, before, after, coils=1):
        c = self.reals * coils
        return networks.CNN(c * before, c * after, 4, 2, dimension=2, generator=self.generator)

    def images(self):
        c = self.reals
        net = networks.ResidualCNN(c, c, 4, 2, dimension=2, generator=self.generator)
        return networks.OnImages(net, dimension=2)

    def unrolled(self, step):
        return R.LearnedProximalGradient(self.forward, self.adjoint, [step, step])


def primal_dual(p, dual):
    primal = [R.StateStep(p.cnn(3, 2), dimension=2) for _ in range(2)]
    return R.LearnedPrimalDual(p.forward, p.adjoint, [dual() for _ in primal], primal,
                               dual_memory=1, primal_memory=2, dimension=2)  # fmt: skip


def lista(p, free=False):
    D = operators.OrthogonalWavelet(p.X, "haar", 1)
    back = bridge.as_module(D @ p.A.adjoint)
    step = R.CoupledShrinkage(back, 0.01, R.LearnedStepSize(0.9))
    if free:
        step = R.FreeShrinkage(back, bridge.as_module(D @ p.A.adjoint @ p.A @ D.adjoint), 0.01)
    return R.LearnedShrinkage(p.forward, bridge.as_module(D.adjoint), [step, step])


#: Takes long for all operators and checks; its derivative is compared below.
SLOW = "RegularizedLeastSquares"


def filtered(p):
    """The adjoint behind a positive filter that is learned."""
    return torch.nn.Sequential(p.adjoint, R.PositiveFilter(SHAPE))


MAPS = {
    "Postprocessing": lambda p: R.Postprocessing(p.adjoint, p.images()),
    "AUTOMAP": lambda p: R.AUTOMAP(
        (p.coils, *SHAPE) if p.components else SHAPE, SHAPE, 3, data_parts=p.reals,
        image_parts=p.reals, generator=p.generator),
    "GradientStep": lambda p: p.unrolled(R.GradientStep(p.images(), R.LearnedStepSize(0.9))),
    "MemoryStep": lambda p: p.unrolled(R.MemoryStep(p.cnn(3, 2), p.reals, 0.9, dimension=2)),
    "VariationalStep": lambda p: p.unrolled(R.VariationalStep(
        2, 3, networks.RadialBasis(2, 5, 2.0, slope=0.01), R.LearnedStepSize(0.9), dimension=2,
        parts=p.reals, generator=p.generator)),
    "LearnedPrimalDual": lambda p: primal_dual(p, lambda: R.StateStep(
        p.cnn(3, 1, p.coils), dimension=2, components=p.components)),
    "learned primal": lambda p: primal_dual(p, R.DataResidual),
    "LISTA, coupled": lista,
    "LISTA, free": lambda p: lista(p, free=True),
    "DeepEquilibrium": lambda p: R.DeepEquilibrium(
        p.forward, p.adjoint, R.GradientStep(Shrunk(p.images()), 0.9), dimension=2,
        accuracy=1e-12, backward_accuracy=1e-12, maxiter=400),
    "RegularizedLeastSquares": lambda p: R.RegularizedLeastSquares(
        p.forward, p.adjoint, regularizers.Ridge(
            regularizers.ComposedFilters((1, 2), 3, networks.Reflecting(), dimension=2),
            regularizers.LogCosh(), sharpness=0.0, strength=0.1), noise_level=0.5, norm=1.0,
        coercivity=0.0, dimension=2, accuracy=1e-11, maxiter=3000,
        derivative=R.ImplicitDerivative(1e-11)),
    "LearnedLandweber": lambda p: R.LearnedLandweber(
        p.forward, filtered(p), 0.9, lambda y: 0.3 * y.flatten(1).norm(dim=1), dimension=2),
    "Tikhonov, U-Net": lambda p: R.Postprocessing(
        R.Tikhonov(p.forward, p.adjoint, 0.1, dimension=2, accuracy=1e-12), p.images()),
}  # fmt: skip


class Shrunk(torch.nn.Module):
    """Half of a network, which makes a small residual network a contraction."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, u):
        return 0.5 * self.net(u)


@pytest.mark.parametrize("name, kind", [
    (name, kind) for name in MAPS for kind in OPERATORS if name != SLOW or kind == "multi-coil"])
def test_a_map_is_built_trained_and_comes_back(name, kind):
    rng = np.random.default_rng(0)
    A = OPERATORS[kind](rng)
    model = MAPS[name](Parts(A)).double()
    truths = [operators.random_element(A.domain, rng) for _ in range(4)]
    pairs = data.FixedPairs([A(x) for x in truths], truths)
    before = [p.detach().clone() for p in model.parameters()]
    learning.train(model, pairs, steps=2, batch_size=2, progress=False,
                   optimizer=torch.optim.Adam(model.parameters(), lr=1e-3))
    changed = [not torch.equal(p, q) for p, q in zip(model.parameters(), before)]
    assert any(changed) and all(torch.isfinite(p).all() for p in model.parameters())
    operator = bridge.as_operator(model.eval(), A.range, A.domain)
    for check in conformance.checks_for(operator) if name != SLOW else []:
        if not check.__name__.startswith("check_module"):  # second ones; for all modules elsewhere
            check(operator, rng)
    y = A(truths[0])
    h, w = operators.random_element(A.range, rng), operators.random_element(A.domain, rng)
    slope = operator.derivative(y)
    left, right = slope(h).inner(w), h.inner(slope.adjoint(w))
    assert abs(complex(left - right).real) <= 1e-9 * slope(h).norm() * w.norm()
    x = operator(y)
    batch = torch.as_tensor(np.stack(2 * [np.asarray(y.asarray())]))
    alone = model(batch)[0].detach().numpy()
    assert np.abs(alone - x.asarray()).max() <= 1e-9 * np.abs(alone).max()


def test_tikhonov_is_mapped_over_samples(rng):
    p = Parts(multicoil(rng))
    model = R.Tikhonov(p.forward, p.adjoint, 0.1, dimension=2, accuracy=1e-12)
    y = torch.stack([torch.as_tensor(p.A(operators.random_element(p.X, rng)).asarray())
                     for _ in range(3)])
    mapped, together = torch.func.vmap(model)(y), model(y)
    assert float((mapped - together).norm()) <= 1e-10 * float(together.norm())


def test_derivatives_of_minimizers_are_those_of_differences(rng):
    """Solved to 1e-11, so that rounding is 1e-11 over the step, and its square is 1e-8."""
    A = product(rng)
    operator = bridge.as_operator(MAPS[SLOW](Parts(A)).double(), A.range, A.domain)
    y = A(operators.random_element(A.domain, rng))
    h = operators.random_element(A.range, rng)
    slope = operator.derivative(y)(h)
    quotient = (operator(y + 1e-4 * h) - operator(y - 1e-4 * h)) * (0.5 / 1e-4)
    assert (quotient - slope).norm() <= 1e-6 * slope.norm()
