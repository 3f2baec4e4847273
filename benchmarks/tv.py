"""Total variation and its generalization: our proximals against deepinv, scikit-image and ODL.

    python benchmarks/tv.py                 the camera image, 512 x 512, single precision
    python benchmarks/tv.py --size tiny     in seconds: does it run?

Every contestant gets the least number of iterations with which it reaches a relative suboptimality
of 1e-3, found by bisection; ours finds out by itself when to stop, from its duality gap. Numbers
are our CPU time over that of the other, on one thread, median of rounds in which the contestants
take turns. The last line printed is one JSON object; deepinv and scikit-image are optional, and
without them their numbers are null.
"""

import argparse
import importlib.util
import json
import math

import timing  # isort: skip
import numpy as np
import torch

import odl_learned  # noqa: F401  isort: skip
import odl
import peers

from odl_learned import functionals, solvers, variational
from odl_learned.operators import gradient

SIZES = {"tiny": (48, 3), "full": (512, 9)}  # pixels, rounds
NOISE, ALPHA, BETA, TARGET = 0.1, 0.1, 1.0, 1e-3


def noisy_image(size):
    """The camera image with noise; without scikit-image, or if tiny, a phantom in its place."""
    n, _ = SIZES[size]
    if size == "full" and has_skimage():
        from skimage.data import camera

        image = camera().astype(np.float64) / 255
    else:
        space = odl.uniform_discr([-1, -1], [1, 1], (n, n))
        image = odl.phantom.shepp_logan(space, modified=True).data
    noise = NOISE * np.random.default_rng(0).standard_normal(image.shape)
    return (image + noise).astype(np.float32)


def has_skimage():
    """Whether scikit-image is installed."""
    return importlib.util.find_spec("skimage") is not None


def image_space(shape, dtype):
    """Pixels of side one."""
    return odl.uniform_discr([0] * len(shape), shape, shape, dtype=dtype)


def deepinv_prox(y, niter):
    """The proximal of deepinv, from its cold start."""
    prior = peers.deepinv().optim.TVPrior(def_crit=0.0, n_it_max=niter)
    with torch.no_grad():
        return prior.prox(torch.from_numpy(y)[None, None], gamma=ALPHA)[0, 0].numpy()


def skimage_prox(y, niter):
    """Chambolle's iteration of scikit-image."""
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(y, weight=ALPHA, eps=0.0, max_num_iter=niter)


def odl_prox(y, niter):
    """The accelerated primal-dual iteration of ODL."""
    space = image_space(y.shape, "float32")
    grad, element = gradient(space), space.element(y)
    f = 0.5 * odl.functionals.L2NormSquared(space).translated(element)
    g = ALPHA * odl.functionals.GroupL1Norm(grad.range)
    x = element.copy()
    odl.solvers.pdhg(x, f, g, grad, niter=niter, tau=0.25, sigma=0.5, gamma_primal=0.9)
    return x.data


class JointTGV:
    """The problem in the image and the field ``v``, for ODL's primal-dual iteration."""

    def __init__(self, y):
        space = image_space(y.shape, "float32")
        fidelity = functionals.l2_fidelity(space.element(y))
        identity = odl.IdentityOperator(space)
        self.problem = variational.tgv_problem(identity, fidelity, ALPHA, BETA)
        self.steps = self.problem.step_sizes()

    def odl_tgv(self, y, niter):
        """Image and field from ODL, on our well-balanced formulation."""
        f, g, L = self.problem
        x = L.domain.zero()
        odl.solvers.pdhg(x, f, g, L, niter=niter, tau=self.steps[0], sigma=self.steps[1])
        return x


def our_prox(y):
    """Ours, stopped by its own certificate."""
    return solvers.rof(y, ALPHA, TARGET, cell_sides=(1, 1)).x


def our_tgv(y):
    """Ours, stopped by its own certificate."""
    return solvers.tgv_denoising(y, ALPHA, BETA, TARGET, cell_sides=(1, 1))


def tv_objective(y):
    """The objective in double precision."""
    space = image_space(y.shape, "float64")
    variation = functionals.TotalVariation(space)

    def value(x):
        x = np.asarray(x, dtype=np.float64)
        return 0.5 * ((x - y) ** 2).sum() + ALPHA * variation(space.element(x))

    return value


def least_iterations(contestant, objective, minimum, y, limit=2048):
    """The least number of iterations that reaches the target, within an eighth."""
    def reaches(niter):
        return objective(contestant(y, niter)) <= (1 + TARGET) * minimum

    low, high = 0, 1
    while not reaches(high):
        low, high = high, 2 * high
        if high > limit:
            raise RuntimeError(f"{contestant.__name__} does not reach {TARGET} in {limit}.")
    while high - low > max(1, high // 8):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def race(title, ours, others, objective, minimum, y, rounds):
    """The ratios of our time to those of the others, by name."""
    counts = {name: least_iterations(f, objective, minimum, y) for name, f in others.items()}
    print(f"\niterations of the others: {counts}")
    contestants = {"odl_learned": lambda: ours(y)}
    for name, f in others.items():
        contestants[name] = lambda f=f, name=name: f(y, counts[name])
    seconds = timing.race(title, contestants, rounds)
    return {name: seconds["odl_learned"] / seconds[name] for name in others}


def require_target(excess):
    """Raise AssertionError if ours is further above the minimum than all others have to be."""
    print(f"\nours ends at most {excess:.1e} above the minimum")
    if not excess <= TARGET:
        raise AssertionError(f"ours is {excess:.1e} above the minimum, expected {TARGET:.0e}.")


def measure_tv(y, rounds):
    """Total variation."""
    reference = solvers.rof(y.astype(np.float64), ALPHA, 1e-5, cell_sides=(1, 1))
    objective = tv_objective(y.astype(np.float64))
    others = {"odl": odl_prox}
    if has_skimage():
        others["skimage"] = skimage_prox
    if peers.deepinv() is not None:
        others["deepinv"] = deepinv_prox
    minimum = objective(reference.x) - reference.gap
    require_target(objective(our_prox(y)) / minimum - 1)
    ratios = race(f"TV proximal, {y.shape}", our_prox, others, objective, minimum, y, rounds)
    return {f"tv_vs_{name}": ratios.get(name) for name in ("deepinv", "skimage", "odl")}


def measure_tgv(y, rounds):
    """Total generalized variation: ODL is judged by its image and field, ours by its gap."""
    exact = y.astype(np.float64)
    dual = solvers.tgv_denoising(exact, ALPHA, BETA, 2e-4, cell_sides=(1, 1)).dual
    grad = gradient(image_space(y.shape, "float64"))
    rest = grad.domain.element(exact) - grad.adjoint(grad.range.element(list(dual)))
    minimum = 0.5 * (exact**2).sum() - 0.5 * rest.norm() ** 2
    require_target(our_tgv(y).gap / minimum)
    joint = JointTGV(y)
    ratios = race(f"TGV proximal, {y.shape}", our_tgv, {"odl": joint.odl_tgv},
                  joint.problem.value, minimum, y, max(3, rounds // 3))  # fmt: skip
    return {"tgv_vs_odl": ratios["odl"]}


def bandwidth(rounds):
    """Bytes per second of ``a = b + s c`` on arrays that do not fit into the cache."""
    a, b, c = (torch.ones(2**24) for _ in range(3))
    seconds = timing.race("triad", {"triad": lambda: torch.add(b, c, alpha=2.0, out=a)}, rounds)
    return 3 * a.numel() * a.element_size() / seconds["triad"]


def measure_bandwidth(y, rounds):
    """The least traffic of a TV iteration, over its time and the bandwidth of the memory.

    An iteration reads y, x, z, p_1, p_2 and writes the last four: nine arrays.
    """
    niter = 50
    seconds = timing.race("50 TV iterations", {"odl_learned": lambda: solvers.rof(
        y, ALPHA, 1e-12, niter, cell_sides=(1, 1))}, rounds)["odl_learned"]  # fmt: skip
    return {"bandwidth_fraction": 9 * y.nbytes * niter / seconds / bandwidth(rounds)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="full")
    size = parser.parse_args().size
    print(json.dumps(timing.machine()))
    y, (_, rounds) = noisy_image(size), SIZES[size]
    numbers = measure_tv(y, rounds) | measure_tgv(y, rounds) | measure_bandwidth(y, rounds)
    if not all(value is None or math.isfinite(value) for value in numbers.values()):
        raise AssertionError(f"numbers are not finite: {numbers}")
    print(json.dumps({name: value if value is None else float(f"{value:.4g}")
                      for name, value in numbers.items()}))


if __name__ == "__main__":
    main()
