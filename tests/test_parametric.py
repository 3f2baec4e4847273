"""Energies with parameters: values, mixed derivatives and hypergradients against differences.

The reference for derivatives is ODL's own gradient, in weighted spaces and without torch: with the
weights ``W`` of the image space, Euclidean derivatives are ``W`` times Riesz representatives.
"""

import numpy as np
import odl
import pytest
import torch
from instances.spaces import R, element, plane

from odl_learned import functionals, operators
from odl_learned.bridge import as_energy, as_module, fix_block
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.functionals import Coordinate, Exponential, parameter_space
from odl_learned.operators import random_element

F = odl.functionals
X = plane((4, 5))
XC = plane((4, 5), "complex128")
YC = odl.cn((4, 5), weighting=3.0)


def projections(domain):
    """The blocks of a product space as operators."""
    return [odl.ComponentProjection(domain, i) for i in range(len(domain))]


def denoising(space, parameters=None):
    """``|u - y|^2 / 2 + exp(theta_0) TV_nu(u) + |exp(theta_1) u|^2``."""
    parameters = parameter_space(space, 2) if parameters is None else parameters
    domain = odl.ProductSpace(space, parameters)
    u, theta = projections(domain)
    alpha, scale = (Exponential(Coordinate(parameters, i)) @ theta for i in (0, 1))
    tv = functionals.SmoothedTV(space, 1, 0.5, 0.01)
    return (functionals.l2_fidelity(element(space)) @ u
            + F.FunctionalProduct(alpha, tv @ u)
            + F.L2NormSquared(space) @ operators.FunctionalMultiple(scale, u))


def sampling_pattern():
    """``|w (F u - y)|^2 / 2 + TV_nu(u)`` with a weight for every sample, and data ``y``."""
    domain = odl.ProductSpace(XC, YC, YC)
    u, w, y = projections(domain)
    fourier = operators.SampledFourier(XC, np.ones(XC.shape), YC)
    pair = odl.BroadcastOperator(w, fourier @ u - y)
    residual = operators.BlockProduct(pair.range) @ pair
    return 0.5 * F.L2NormSquared(YC) @ residual + functionals.SmoothedTV(XC, 0.3, 0.5, 0.01) @ u


def deblurring():
    """``|exp(theta) (A u - y)|^2 / 2 + TV_nu(u)``: real images, and one weight for every datum."""
    matrix = np.random.default_rng(3).standard_normal((4, 4))
    blur = odl.MatrixOperator(matrix, domain=X.tspace, range=X.tspace)
    space = odl.ProductSpace(X.tspace, odl.rn((4, 5), weighting=2.0), X.tspace)
    u, theta, y = projections(space)
    pair = odl.BroadcastOperator(
        operators.PointwiseExponential(space[1]) @ theta, blur @ u - y)
    residual = operators.BlockProduct(pair.range) @ pair
    return 0.5 * F.L2NormSquared(space[2]) @ residual + 0.1 * F.L2NormSquared(space[0]) @ u


ENERGIES = {
    "real": lambda: denoising(X),
    "complex": lambda: denoising(XC),
    "weighted parameters": lambda: denoising(X, odl.rn(2, weighting=3.0)),
    "array weights": lambda: denoising(X, odl.rn(2, weighting=[2.0, 0.5])),
    "sampling pattern": sampling_pattern,
    "deblurring": deblurring,
}


def point(energy, seed):
    """Elements of all blocks, with parameters of size one tenth."""
    rng = np.random.default_rng(seed)
    x = random_element(energy.domain, rng)
    return energy.domain.element([part if i != 1 else 0.1 * part for i, part in enumerate(x)])


def tensors(x):
    """The blocks of an element as tensors."""
    return [layout_of(part.space).to_tensor(part).clone() for part in x]


@pytest.mark.parametrize("name", ENERGIES)
def test_an_energy_is_the_functional_of_every_sample(name):
    energy = ENERGIES[name]()
    module = as_energy(energy)
    assert not any(isinstance(m, (GenericLinear, GenericNonlinear)) for m in module.modules())
    points = [point(energy, seed) for seed in range(6)]
    expected = [energy(x) for x in points]
    blocks = [torch.stack(parts).unflatten(0, (2, 3))
              for parts in zip(*[tensors(x) for x in points])]
    values = module(*blocks)
    assert values.shape == (2, 3) and values.dtype == torch.float64
    np.testing.assert_allclose(values.flatten(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ENERGIES)
def test_shared_parameters_count_for_every_sample(name):
    energy = ENERGIES[name]()
    module = as_energy(energy)
    (x0, *others), (x1, *_) = (tensors(point(energy, seed)) for seed in (0, 1))
    x = torch.stack([x0, x1])
    each_own = [torch.stack([other, other]) for other in others]
    torch.testing.assert_close(module(x, *others), module(x, *each_own), rtol=0, atol=0)
    params, rest = others[0], others[1:]
    shared = torch.func.grad(lambda p: module(x, p, *rest).sum())(params)
    single = torch.func.grad(lambda p: module(x, p, *each_own[1:]).sum())(each_own[0])
    torch.testing.assert_close(shared, single.sum(0), rtol=1e-12, atol=1e-12)


def euclidean_gradient(energy, x):
    """``W_X`` times the image part of ODL's gradient, as a tensor."""
    layout = layout_of(energy.domain[0])
    return layout.weigh(layout.to_tensor(energy.gradient(x)[0]))


@pytest.mark.parametrize("name", ENERGIES)
def test_mixed_derivatives_agree_with_differences_of_odls_gradient(name):
    energy = ENERGIES[name]()
    module, x, h = as_energy(energy), point(energy, 0), point(energy, 1)
    u, *others = tensors(x)

    def gradient(u, params):
        return torch.func.grad(lambda v: module(v, params, *others[1:]))(u)

    np.testing.assert_allclose(gradient(u, others[0]), euclidean_gradient(energy, x),
                               rtol=0, atol=1e-12 * float(gradient(u, others[0]).abs().max()))
    for block in (0, 1):  # the Hessian H, and J, the derivative of the gradient in the parameters
        step = energy.domain.zero()
        step[block] = 1e-5 * h[block]
        quotient = (euclidean_gradient(energy, x + step)
                    - euclidean_gradient(energy, x - step)) / 2e-5
        direction = tensors(h)[block]
        inputs = [u, others[0]]

        def partial(z, inputs=inputs, block=block):
            return gradient(*[z if i == block else y for i, y in enumerate(inputs)])

        _, product = torch.func.jvp(partial, (inputs[block],), (direction,))
        scale = float(quotient.abs().max())
        assert scale > 1e-4
        np.testing.assert_allclose(product, quotient, rtol=0, atol=1e-6 * scale)
        _, transpose = torch.func.vjp(partial, inputs[block])
        v = torch.randn_like(product)
        left, right = torch.vdot(v.flatten(), product.flatten()), transpose(v)[0]
        right = torch.vdot(right.flatten(), direction.flatten())
        np.testing.assert_allclose(left.real, right.real, rtol=1e-10)


def as_real(x):
    """Complex entries as pairs of real ones."""
    return torch.view_as_real(x).flatten() if x.is_complex() else x.flatten()


def as_images(x, like):
    """Inverse of :func:`as_real`."""
    if like.is_complex():
        return torch.view_as_complex(x.reshape(*like.shape, 2))
    return x.reshape(like.shape)


@pytest.mark.parametrize("name", ["real", "complex", "weighted parameters"])
def test_hypergradient_agrees_with_differences_of_the_upper_level(name):
    """``-J^T H^-1 grad l`` at the minimizer against minimizing again at other parameters."""
    energy = ENERGIES[name]()
    module = as_energy(energy)
    start = torch.zeros_like(tensors(point(energy, 0))[0])
    truth = as_real(tensors(point(energy, 2))[0])

    def value(v, params):
        return module(as_images(v, start), params)

    gradient, hessian = torch.func.grad(value), torch.func.hessian(value)

    def minimizer(params):
        v = as_real(start)
        for _ in range(30):
            slope, newton = gradient(v, params), torch.linalg.solve(hessian(v, params),
                                                                    gradient(v, params))
            # Near the minimum the decrease is less than values are rounded: full steps there.
            t, height = 1.0, value(v, params)
            limit = height + 1e-14 * height.abs()
            while value(v - t * newton, params) > limit - 0.1 * t * slope @ newton:
                t /= 2
                if t < 1e-4:
                    break
            v = v - t * newton
        assert gradient(v, params).abs().max() < 1e-12
        return v

    params = torch.tensor([-0.5, -1.0], dtype=torch.float64)
    v = minimizer(params)
    adjoint_state = torch.linalg.solve(hessian(v, params), v - truth)
    _, transpose = torch.func.vjp(lambda p: gradient(v, p), params)
    hypergradient = -transpose(adjoint_state)[0]
    for i in (0, 1):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = 1e-4
        plus, minus = (0.5 * (minimizer(params + s * step) - truth).square().sum()
                       for s in (1, -1))
        quotient = float(plus - minus) / 2e-4
        np.testing.assert_allclose(float(hypergradient[i]), quotient, rtol=1e-6)


@pytest.mark.parametrize("name", ENERGIES)
def test_fixing_a_block_commutes_with_lowering(name):
    energy = ENERGIES[name]()
    x = point(energy, 0)
    fixed, expected = fix_block(energy, 1, x[1]), as_energy(energy)
    u, theta, *data = tensors(x)
    if data:
        fixed = fix_block(fixed, 1, x[2])
    assert isinstance(fixed, F.Functional) and fixed.domain == energy.domain[0]
    np.testing.assert_allclose(fixed(x[0]), energy(x), rtol=1e-13)
    module = as_module(fixed)
    assert not any(isinstance(m, (GenericLinear, GenericNonlinear)) for m in module.modules())
    batch = torch.stack([u, 2 * u])
    torch.testing.assert_close(module(batch), expected(batch, theta, *data), rtol=1e-13, atol=0)
    gradient = layout_of(fixed.domain).to_tensor(fixed.gradient(x[0]))
    whole = layout_of(fixed.domain).to_tensor(energy.gradient(x)[0])
    np.testing.assert_allclose(gradient, whole, rtol=0, atol=1e-13 * float(whole.abs().max()))


def test_fixing_the_images_leaves_the_parameters():
    energy = ENERGIES["array weights"]()
    x = point(energy, 0)
    fixed = fix_block(energy, 0, x[0])
    assert fixed.domain == energy.domain[1]
    np.testing.assert_allclose(fixed(x[1]), energy(x), rtol=1e-13)
    np.testing.assert_allclose(fixed.gradient(x[1]).data, energy.gradient(x)[1].data, rtol=1e-12)


def test_a_weighted_product_gives_the_gradient_of_the_block_alone():
    """ODL's projections do not know the weights ``c``; the fixed block divides them out again."""
    domain = odl.ProductSpace(X, odl.rn(2), weighting=[3.0, 2.0])

    class Bilinear(F.Functional):
        """``(u, theta) -> theta_0 |u|^2 / 2`` with its gradient in the weighted product."""

        def _call(self, x):
            return 0.5 * x[1].data[0] * x[0].norm() ** 2

        @property
        def gradient(self):
            energy = self

            class Gradient(odl.Operator):
                def _call(self, x):
                    first = energy.domain[1].element([0.5 * x[0].norm() ** 2, 0])
                    return self.range.element([float(x[1].data[0]) / 3.0 * x[0], 0.5 * first])

            return Gradient(domain, domain)

    energy, theta = Bilinear(domain), odl.rn(2).element([1.7, 0])
    u, h = element(X), element(X, 2)
    fixed = fix_block(energy, 1, theta)
    np.testing.assert_allclose(fixed.gradient(u).data, 1.7 * u.data, rtol=1e-14)
    quotient = (fixed(u + 1e-5 * h) - fixed(u - 1e-5 * h)) / 2e-5
    np.testing.assert_allclose(fixed.gradient(u).inner(h), quotient, rtol=1e-8)


def test_odls_solvers_minimize_an_energy_with_fixed_parameters():
    theta = odl.rn(2).element([-1.0, -2.0])
    f = fix_block(denoising(X), 1, theta)
    x = X.zero()
    odl.solvers.bfgs_method(f, x, line_search=odl.solvers.BacktrackingLineSearch(f), maxiter=60,
                            tol=1e-6)
    assert f.gradient(x).norm() < 1e-5 * f.gradient(X.zero()).norm()


def test_parameters_of_any_shape():
    """Of the same space as the images, so that both are one tensor; and of several spaces."""
    same = odl.ProductSpace(R, R)
    u, theta = projections(same)
    energy = F.L2NormSquared(R) @ (u - theta) + F.FunctionalProduct(
        Exponential(Coordinate(R, 1)) @ theta, F.Huber(R, 0.1) @ u)
    points = [random_element(same, np.random.default_rng(seed)) for seed in (0, 1)]
    blocks = [torch.stack(parts) for parts in zip(*[tensors(x) for x in points])]
    module = as_energy(energy)
    np.testing.assert_allclose(module(*blocks), [energy(x) for x in points], rtol=1e-13)
    mapped = torch.func.vmap(module)(*blocks)
    torch.testing.assert_close(mapped, module(*blocks), rtol=1e-13, atol=0)

    pair = odl.ProductSpace(R, odl.ProductSpace(odl.rn(2), odl.rn(3)))
    u, theta = projections(pair)
    first, second = projections(pair[1])
    energy = F.L2NormSquared(odl.rn(3)) @ second @ theta + F.FunctionalProduct(
        Exponential(Coordinate(odl.rn(2), 1)) @ first @ theta, F.Huber(R, 0.1) @ u)
    x = random_element(pair, np.random.default_rng(0))
    params = tuple(tensors(x[1]))
    images = torch.stack([tensors([x[0]])[0]] * 2)
    np.testing.assert_allclose(as_energy(energy)(images, params), 2 * [energy(x)], rtol=1e-13)
    np.testing.assert_allclose(as_module(fix_block(energy, 1, x[1]))(images), 2 * [energy(x)],
                               rtol=1e-13)


def test_errors_say_what_is_missing():
    energy = as_energy(denoising(X))
    u, theta = tensors(point(denoising(X), 0))
    with pytest.raises(TypeError, match=r"data is given.*X x Theta; expected energy\(x, params\)"):
        energy(u, theta, u)
    with pytest.raises(TypeError, match=r"data is missing.*energy\(x, params, data\)"):
        as_energy(deblurring())(u, u)
    with pytest.raises(ValueError, match=r"params has the leading axes \(3,\), expected \(2,\)"):
        energy(torch.stack([u, u]), torch.stack([theta] * 3))
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(\*batch, 2\)"):
        energy(u, torch.ones(3, dtype=torch.float64))
    with pytest.raises(TypeError, match="torch.float32.*expected torch.float64"):
        energy(u, theta.float())
    with pytest.raises(TypeError, match="expected X x Theta or X x Theta x Y"):
        as_energy(F.L2NormSquared(X))
    with pytest.raises(IndexError, match="index is 2, expected a block of the product from 0 to 1"):
        fix_block(denoising(X), 2, odl.rn(2).one())
    with pytest.raises(TypeError, match="element of block 1 is.*build it with space.element"):
        fix_block(denoising(X), 1, odl.rn(3).one())
    with pytest.raises(TypeError, match="expected a product of two or more spaces"):
        fix_block(F.L2NormSquared(X), 0, X.one())
    with pytest.raises(IndexError, match=r"index is 2, expected an entry from 0 to 1"):
        Coordinate(odl.rn(2), 2)
    with pytest.raises(ValueError, match="expected the domain of the operator"):
        operators.FunctionalMultiple(F.L2NormSquared(odl.rn(2)), odl.IdentityOperator(X))
    with pytest.raises(ValueError, match=r"block 0 of the domain has shape \(2,\).*range"):
        operators.BlockProduct(odl.ProductSpace(odl.rn(2), X))
    with pytest.raises(TypeError, match="expected a product of two spaces"):
        operators.BlockProduct(X)


def test_real_parameters_of_complex_images():
    """Real parameters are embedded, and derivatives in them are real."""
    energy = as_energy(denoising(XC))
    u, theta = tensors(point(denoising(XC), 0))
    real = theta.real.clone()
    torch.testing.assert_close(energy(u, real), energy(u, torch.complex(real, 0 * real)))
    slope = torch.func.grad(lambda p: energy(u, p))(real)
    assert slope.dtype == torch.float64 and slope.abs().min() > 0
