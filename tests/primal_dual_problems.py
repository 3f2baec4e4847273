"""Small problems for the primal-dual solver, and parts of their solutions."""

import numpy as np
import odl

from odl_learned import variational
from odl_learned.functionals import (
    BoxConstraint,
    KullbackLeiblerFidelity,
    MagnitudeBound,
    l2_fidelity,
)
from odl_learned.operators import SampledFourier, mask_operator, random_element

SHAPE = (8, 6)
X = odl.uniform_discr([0, 0], SHAPE, SHAPE)
XC = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="complex128")
IDENTITY = odl.IdentityOperator(X)
BOX = BoxConstraint(X, -5, 5)


def noisy(rng, noise=0.3):
    """A step with noise, or another one."""
    step = (np.indices(SHAPE)[0] > rng.integers(1, 7)) * rng.uniform(0.5, 2)
    return X.element(step + noise * rng.standard_normal(SHAPE))


def denoising(rng, alpha=0.2):
    return variational.tv_problem(IDENTITY, l2_fidelity(noisy(rng)), alpha)


def inpainting(rng, alpha=0.1):
    A = mask_operator(X, rng.random(SHAPE) < 0.6)
    return variational.tv_problem(A, l2_fidelity(A(noisy(rng))), alpha, BOX)


def tgv(rng):
    return variational.tgv_problem(IDENTITY, l2_fidelity(noisy(rng)), 0.2, 2.0)


def h1(rng):
    A = 3.0 * mask_operator(X, np.indices(SHAPE)[0] % 2 == 0)
    return variational.h1_problem(A, l2_fidelity(A(noisy(rng))), 0.3, BOX)


def tikhonov(rng):
    A = 3.0 * mask_operator(X, np.indices(SHAPE)[0] % 2 == 0)
    return variational.tikhonov_problem(A, l2_fidelity(A(noisy(rng))), 0.3)


def emission(rng):
    A = 3.0 * mask_operator(X, rng.random(SHAPE) < 0.8)
    mean = A(X.element(1 + abs(noisy(rng).data))) + X.one()
    D = KullbackLeiblerFidelity(X.element(rng.poisson(mean.data)), X.one())
    return variational.tv_problem(A, D, 0.3, BoxConstraint(X, 0, 20))


def magnetic_resonance(rng):
    mask = np.indices(SHAPE)[1] % 2 == 0
    A = SampledFourier(XC, mask | (np.indices(SHAPE)[0] < 5))
    truth = XC.element(noisy(rng, 0.0).data * np.exp(0.3j * np.indices(SHAPE)[1]))
    data = A(truth) + 0.05 * random_element(A.range, rng)
    return variational.tv_problem(A, l2_fidelity(data), 0.02, MagnitudeBound(XC, 3.0))


PROBLEMS = [denoising, inpainting, tgv, h1, tikhonov, emission, magnetic_resonance]
