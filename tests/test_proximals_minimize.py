"""Proximal modules minimize their definition: by search, Moreau's identity, optimality."""

import numpy as np
import odl
import pytest
import scipy.optimize
import torch
from instances.spaces import F
from proximal_cases import CASES, DOUBLE, batch

from odl_learned.bridge import as_functional, as_module, as_proximal_module
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.proximals.entropies import LogLambertW
from odl_learned.conformance.sampling import flat
from odl_learned.conformance.tensors import entries


@pytest.mark.parametrize("name", [n for n in DOUBLE if "Bregman" not in n])
def test_moreau_identity(name):
    """``x = prox_{sigma f}(x) + sigma prox_{f*/sigma}(x / sigma)``, where ODL has a conjugate."""
    f = CASES[name]()
    try:
        conjugate = as_proximal_module(f.convex_conj)
    except NotImplementedError:
        assert name.startswith(("simplex", "sum constraint"))
        return
    _, x = batch(f, 2)
    p = as_proximal_module(f)(x, 0.6)
    q = conjugate(each(lambda part: part / 0.6, x), 1 / 0.6)
    rest = each(lambda x, p, q: p + 0.6 * q - x, x, p, q)
    # ODL's balls are smaller by a margin of 1e-14.
    assert np.abs(entries(rest)).max() <= 1e-12


SMALL = odl.uniform_discr([0, 0], [1, 3], (2, 2))  # cells of volume 3/4
SMALL_ARRAY = odl.rn((2, 2), weighting=np.array([[1.0, 2.0], [0.5, 3.0]]))
BRUTE = {
    "L1": lambda s: 0.5 * F.L1Norm(s),
    "L2": F.L2Norm,
    "Linf": lambda s: F.LpNorm(s, np.inf),
    "Huber": lambda s: F.Huber(s, 0.2),
    "perturbed": lambda s: F.FunctionalQuadraticPerturb(F.L2Norm(s), 0.4, s.one()),
    "scaled": lambda s: F.L2Norm(s) * 2.0,
    "KL": lambda s: F.KullbackLeibler(s, 2 * s.one()),
    "cross entropy": lambda s: F.KullbackLeiblerCrossEntropy(s, 2 * s.one()),
    "cross entropy conjugate":
        lambda s: F.KullbackLeiblerCrossEntropy(s, 2 * s.one()).convex_conj,
}


@pytest.mark.parametrize("space", [SMALL, SMALL_ARRAY], ids=["constant", "array"])
@pytest.mark.parametrize("name", BRUTE)
def test_minimizes_its_definition(name, space):
    f, sigma = BRUTE[name](space), 0.8
    x = space.element([[0.9, -0.4], [1.7, 0.3]])
    value = as_functional(as_module(f), space) if name == "Huber" else f

    def energy(u):
        # ODL's value of the Huber functional raises with an array of weights.
        u = space.element(u.reshape(2, 2))
        return value(u) + (u - x).norm() ** 2 / (2 * sigma)

    got = entries(as_proximal_module(f)(layout_of(space).to_tensor(x), sigma))
    start = np.full(4, 0.5)
    best = scipy.optimize.minimize(
        energy, start, method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 8000, "maxfev": 8000, "adaptive": True})
    assert energy(got) <= best.fun + 1e-12
    # The energy is 1/sigma strongly convex in the norm of the space.
    assert np.abs(got - best.x).max() <= 1e-4


@pytest.mark.parametrize("space", [SMALL, SMALL_ARRAY], ids=["constant", "array"])
@pytest.mark.parametrize("name", ["L1 ball", "simplex", "sum constraint"])
def test_projects_in_the_weighted_norm(name, space):
    f = {"L1 ball": lambda s: F.IndicatorLpUnitBall(s, 1),
         "simplex": lambda s: F.IndicatorSimplex(s, 1.5),
         "sum constraint": lambda s: F.IndicatorSumConstraint(s, 1.5)}[name](space)
    x = np.array([0.9, -0.4, 1.7, 0.3])
    weighting = space.weighting
    w = weighting.array.ravel() if hasattr(weighting, "array") else np.full(4, weighting.const)
    sums = {"type": "eq", "fun": lambda u: u.sum() - 1.5}
    ball = {"type": "ineq", "fun": lambda u: 1.0 - (w * u).sum()}
    magnitude = np.abs(x) if name == "L1 ball" else x
    expected = scipy.optimize.minimize(
        lambda u: (w * (u - magnitude) ** 2).sum(), np.full(4, 0.1), method="SLSQP",
        bounds=None if name == "sum constraint" else [(0, None)] * 4,
        constraints=[ball if name == "L1 ball" else sums],
        options={"ftol": 1e-16, "maxiter": 1000}).x
    expected = expected * np.sign(x) if name == "L1 ball" else expected
    got = entries(as_proximal_module(f)(torch.from_numpy(x.reshape(2, 2)), 0.7))
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("build", [F.GroupL1Norm, lambda s, p: F.Huber(s, 0.2)],
                         ids=["GroupL1", "Huber"])
@pytest.mark.parametrize("weighting", [2.5, [2.0, 0.5]], ids=["constant", "array"])
def test_weighted_product_space(build, exponent, weighting):
    """There ODL's proximals forget the weights; the module gives the minimizer."""
    space = odl.ProductSpace(odl.rn(2), 2, weighting=weighting)
    f, sigma = build(space, exponent), 0.6
    is_vector = exponent == 2 or isinstance(f, F.Huber)
    if is_vector and weighting != 2.5:
        with pytest.raises(NotImplementedError, match="one weight for all components"):
            as_proximal_module(f)
        return
    x = space.element([[0.9, -0.4], [1.7, 0.3]])

    def energy(u):
        u = space.element(u.reshape(2, 2))
        return f(u) + (u - x).norm() ** 2 / (2 * sigma)

    got = entries(as_proximal_module(f)(layout_of(space).to_tensor(x), sigma))
    best = scipy.optimize.minimize(
        energy, np.full(4, 0.5), method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 8000, "maxfev": 8000, "adaptive": True})
    assert energy(got) <= best.fun + 1e-12
    assert energy(flat(f.proximal(sigma)(x))) > best.fun + 1e-3


def test_small_and_large_arguments_of_the_entropies():
    """No overflow, no cancellation: the equation of the minimizer holds to rounding."""
    z = torch.tensor([-np.inf, -800.0, -41.0, -39.0, -3.0, 0.0, 1.0, 2.0, 30.0, 900.0],
                     dtype=torch.float64)
    w = LogLambertW.apply(z)
    torch.testing.assert_close(w[2:] + w[2:].log(), z[2:], rtol=4e-16, atol=4e-16)
    assert w[0] == 0 and w[1] == 0
    finite = z[4:9].clone()
    reference = scipy.special.lambertw(np.exp(finite.numpy())).real
    np.testing.assert_allclose(w[4:9], reference, rtol=4e-16)
    f = F.KullbackLeibler(odl.rn(3), prior=odl.rn(3).element([1.0, 1e-3, 2.0]))
    x = torch.tensor([-1e9, 1e9, -3.0], dtype=torch.float64)
    u = as_proximal_module(f)(x, 0.5)
    g = torch.tensor([1.0, 1e-3, 2.0], dtype=torch.float64)
    assert (u > 0).all()
    torch.testing.assert_close(x, u + 0.5 * (1 - g / u), rtol=1e-14, atol=0)
