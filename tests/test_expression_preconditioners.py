"""Preconditioners of expressions: inverses where they are exact, fewer iterations elsewhere."""

import numpy as np
import odl
import pytest
import scipy.fft
import scipy.sparse as sp
import torch
from expression_energies import EXPRESSIONS, blur, coils, draw, mask, plane, variation

from odl_learned import functionals, operators
from odl_learned.bridge import as_module, as_transpose_module
from odl_learned.energies import check_energy, energy_of
from odl_learned.energies.expressions.preconditioners import (
    Cosines,
    Frequencies,
    Identity,
    Jacobi,
    LocalTimesSpectral,
    ScaledSpectral,
)
from odl_learned.energies.expressions.preconditioners.matrices import local_matrix, sparse_matrix
from odl_learned.energies.expressions.preconditioners.methods import better_basis
from odl_learned.energies.expressions.preconditioners.symbols import normal_symbol
from odl_learned.solvers.conjugate_gradient import conjugate_gradient

F = odl.functionals


def iterations(functional, preconditioner, rng):
    """Iterations of conjugate gradients for the Hessian at an image of flat blocks."""
    energy = energy_of(functional, preconditioner)
    x, _, data = draw(functional, rng, 1)
    params = torch.tensor([-4.0, -2.0], dtype=torch.float64)
    blocks = torch.sgn(x[:, ::8, ::8]).repeat_interleave(8, 1).repeat_interleave(8, 2)
    linear = energy.linearize(blocks + 1e-3 * x, params, data)
    right = x / x.abs().max()
    found = conjugate_gradient(linear.hessian, right, torch.zeros_like(x), 1e-6, 5000,
                               precondition=linear.precondition)  # fmt: skip
    return int(np.max(found.niter))


CELLS = (1 / 12, 1 / 12)
PROBLEMS = {
    "ray transform": lambda: variation(
        operators.parallel_ray_transform(plane((24, 24), CELLS, dtype="float32"), 40), 1e-2),
    "convolution": lambda: variation(blur(plane((24, 24), CELLS)), 1e-2),
    "mask": lambda: variation(mask(plane((24, 24), CELLS)), 1e-2),
    "one coil": lambda: variation(operators.SampledFourier(plane(
        (24, 24), CELLS, dtype="complex128"), np.arange(576).reshape(24, 24) % 3 > 0), 1e-2),
    "several coils": lambda: variation(coils(plane((24, 24), CELLS, dtype="complex128")), 1e-2),
}


@pytest.mark.parametrize("name", [
    "ray transform", "several coils", pytest.param("mask", marks=pytest.mark.slow),
    pytest.param("convolution", marks=pytest.mark.slow),
    pytest.param("one coil", marks=pytest.mark.slow)])
def test_iterations_are_saved(name):
    functional = PROBLEMS[name]()
    plain, diagonal, periodic, scaled, local = (
        iterations(functional, each, np.random.default_rng(0))
        for each in (Identity(), Jacobi(), ScaledSpectral(Frequencies()), ScaledSpectral(),
                     LocalTimesSpectral()))
    assert diagonal < plain and scaled < 0.7 * plain and local < 0.4 * plain
    # the default takes cosines for real images
    assert scaled == periodic if "coil" in name else scaled < periodic


def test_circulant_and_local_hessians_are_inverted_exactly(rng):
    space = plane((8, 9))
    nothing = torch.zeros(0, dtype=torch.float64)
    square, half = F.L2NormSquared(space), 0.5 * F.L2NormSquared(space)
    circulant = half @ blur(space) + 0.1 * square
    local = functionals.SmoothedTV(space, 0.3, 0.05, 0.2) + half @ mask(space)
    for functional, preconditioner in (
        (circulant, ScaledSpectral()), (circulant, LocalTimesSpectral()),
        (local, LocalTimesSpectral()),
    ):  # fmt: skip
        energy = energy_of(functional, preconditioner)
        x = torch.as_tensor(rng.standard_normal((2, *space.shape)))
        linear = energy.linearize(x, nothing, x)
        v = torch.as_tensor(rng.standard_normal(x.shape))
        torch.testing.assert_close(linear.precondition(linear.hessian(v)), v, rtol=0, atol=1e-9)


def test_differences_with_neumanns_condition_are_inverted_by_cosines(rng):
    # at a constant image curvatures are constant: alpha / nu times Neumann's Laplacian, plus xi
    space, nothing = plane((8, 9), (0.5, 2.0)), torch.zeros(0, dtype=torch.float64)
    functional = functionals.SmoothedTV(space, 0.3, 0.05, 0.2)
    x = torch.ones(2, *space.shape, dtype=torch.float64)
    v = torch.as_tensor(rng.standard_normal(x.shape))
    for preconditioner in (ScaledSpectral(Cosines()), ScaledSpectral()):
        linear = energy_of(functional, preconditioner).linearize(x, nothing, x)
        torch.testing.assert_close(linear.precondition(linear.hessian(v)), v, rtol=0, atol=1e-10)
    cosines = Cosines().diagonal((sparse_matrix(operators.gradient(space)).T
                                  @ sparse_matrix(operators.gradient(space))), space.shape)
    laplacian = as_module(operators.gradient(space).adjoint @ operators.gradient(space))
    torch.testing.assert_close(Cosines().filtered(cosines, v), laplacian(v), rtol=0, atol=1e-11)


def test_symbols_of_cosines_are_diagonals_in_their_basis(rng):
    shape, size = (4, 5), 20
    dense = rng.standard_normal((size, size))
    dense = dense @ dense.T
    basis = [scipy.fft.idctn(e.reshape(shape), norm="ortho").ravel() for e in np.eye(size)]
    expected = [u @ dense @ u for u in basis]
    found = Cosines().diagonal(sp.csr_array(dense), shape)
    np.testing.assert_allclose(found.flatten(), expected, rtol=1e-12)
    assert not Cosines().diagonal(sp.csr_array((size, size)), shape).any()  # of no entries
    # and a short, even blur of frequencies is the one that reflects
    space = plane((16, 18))
    kernel = operators.gaussian_kernel(space, 0.4)
    symbol = Cosines().converted(normal_symbol(operators.PeriodicConvolution(space, kernel)))
    reflecting = operators.ReflectingConvolution(space, kernel)
    v = torch.as_tensor(rng.standard_normal((2, 16, 18)))
    expected = as_module(reflecting.adjoint @ reflecting)(v)
    torch.testing.assert_close(Cosines().filtered(symbol, v), expected, rtol=0, atol=1e-12)


def test_cosines_are_chosen_where_they_say_more():
    chosen = {}
    for name, functional in (
        ("Neumann", functionals.SmoothedTV(plane(), 0.3, 0.1, 0.2)),
        ("periodic", F.L2NormSquared(plane()) @ blur(plane()) + F.L2NormSquared(plane())),
    ):  # fmt: skip
        def choose(points, name=name):
            chosen[name] = type(better_basis(points))
            return Identity()(points)
        x, nothing = torch.ones(1, 6, 7).double(), torch.zeros(0).double()
        energy_of(functional, choose).linearize(x, nothing, x).precondition(x)
    assert chosen == {"Neumann": Cosines, "periodic": Frequencies}
    with pytest.raises(TypeError, match="basis is 'cosines', expected Frequencies"):
        ScaledSpectral("cosines")


@pytest.mark.parametrize("name", [
    "several coils", pytest.param("points on the boundary", marks=pytest.mark.slow),
    pytest.param("wavelet scales", marks=pytest.mark.slow)])
def test_every_preconditioner_is_symmetric_and_positive(name, rng):
    functional = EXPRESSIONS[name]()
    for preconditioner in (Identity(), Jacobi(), LocalTimesSpectral()):
        check_energy(energy_of(functional, preconditioner), *draw(functional, rng, 2), rng)


@pytest.mark.parametrize("op", [
    operators.gradient(plane((4, 5), (0.5, 2.0))), mask(plane((4, 5))),
    operators.FilterBank(plane((6, 7)), np.arange(18.0).reshape(2, 3, 3)),
    2.0 * mask(plane((4, 5))) @ odl.PartialDerivative(plane((4, 5)), 0, pad_mode="symmetric"),
    odl.BroadcastOperator(mask(plane((4, 5))), odl.IdentityOperator(plane((4, 5)))),
])  # fmt: skip
def test_sparse_matrices_are_those_of_operators(op, rng):
    x = torch.as_tensor(rng.standard_normal(op.domain.shape))
    found = sparse_matrix(op) @ x.numpy().ravel()
    np.testing.assert_allclose(found, as_module(op)(x).numpy().ravel(), rtol=1e-13, atol=1e-13)


def test_operators_that_see_far_have_no_sparse_matrix():
    space = plane((8, 8))
    assert sparse_matrix(operators.OrthogonalWavelet(space, "db1", 1)) is None
    assert local_matrix(odl.MatrixOperator(np.ones((3, 8)), domain=space, range=odl.rn((3, 8)),
                                           axis=0), 1) is None  # fmt: skip


@pytest.mark.parametrize("op", [
    blur(plane((6, 7))), 3.0 * blur(plane((5, 8))),
    operators.SampledFourier(plane((6, 7), dtype="complex128"),
                             np.arange(42).reshape(6, 7) % 4 > 0),
    coils(plane((6, 7), dtype="complex128")),
])  # fmt: skip
def test_symbols_are_the_diagonal_in_the_basis_of_frequencies(op):
    shape = op.domain.shape
    size = int(np.prod(shape))
    waves = torch.fft.ifftn(torch.eye(size).reshape(size, *shape).to(torch.complex128),
                            dim=(1, 2), norm="ortho")  # fmt: skip
    module, back = as_module(op).native, as_transpose_module(op).native

    def normal(z):
        if op.domain.dtype.kind == "c":
            return back(module(z))
        return torch.complex(back(module(z.real)), back(module(z.imag)))

    diagonal = (waves.conj() * normal(waves)).flatten(1).sum(1).real.reshape(shape)
    torch.testing.assert_close(normal_symbol(op), diagonal, rtol=1e-10, atol=1e-10)
