"""How fast sparse precisions are, and how many iterations equations with them take.

The peer is the usual way: a convolution with one channel per neighbor, each with a single one, and
an einsum with the coefficients.
"""

import timing  # isort: skip  # noqa: F401  (one thread)
import generative_closed_form as closed_form
import numpy as np
import odl
import torch
from timing import race

from odl_learned import data, operators
from odl_learned.bridge import as_module
from odl_learned.operators.triangular import Neighborhood
from odl_learned.regularizers.generative.precision import (
    Jacobi,
    Precision,
    Shifted,
    Split,
    marginal_variances,
    posterior_mean,
    proximal,
)


class OneHot:
    """``L^T u`` by a convolution and an einsum."""

    def __init__(self, radius):
        hood = Neighborhood(radius)
        self.radius, width = radius, 2 * radius + 1
        self.kernel = torch.zeros(len(hood), 1, width, width)
        for k, (_, _, a, b) in enumerate(hood.terms):
            self.kernel[k, 0, radius + a, radius + b] = 1

    def __call__(self, u, log_diagonal, neighbors):
        later = torch.nn.functional.conv2d(u[:, None], self.kernel, padding=self.radius)
        return log_diagonal.exp() * (u + torch.einsum("nkij,nkij->nij", later, neighbors))


def shifts(u, log_diagonal, neighbors):
    """``L^T u`` of the package, radius 2."""
    return Precision(log_diagonal, neighbors, 2).whiten(u)


def speed(n, rounds):
    """Times at ``n x n`` with 12 neighbors, one thread."""
    numbers, hot = {}, OneHot(2)
    for batch in (1, 16):
        source = torch.Generator().manual_seed(0)
        u, log_diagonal = (torch.randn(batch, n, n, generator=source) for _ in range(2))
        neighbors = 0.1 * torch.randn(batch, 12, n, n, generator=source)
        log_diagonal *= 0.1
        arguments = u, log_diagonal, neighbors
        difference = (hot(*arguments) - shifts(*arguments)).abs().max()
        assert difference <= 1e-5 * u.abs().max(), difference
        precision, generator = Precision(log_diagonal, neighbors, 2), source
        seconds = race(f"batch {batch}, {n} x {n}, 12 neighbors", {
            "L^T u": lambda: shifts(*arguments),
            "L^T u, one-hot and einsum": lambda: hot(*arguments),
            "L v": lambda: precision.whiten_transposed(u),
            "a sample": lambda: precision.sample(generator)}, rounds)
        leaves = [part.clone().requires_grad_() for part in arguments]
        back = race(f"batch {batch}, forward and backward", {
            "shifts": lambda: torch.autograd.grad(shifts(*leaves), leaves, u),
            "one-hot and einsum": lambda: torch.autograd.grad(hot(*leaves), leaves, u)}, rounds)
        ratio = back["one-hot and einsum"] / back["shifts"]
        if batch == 1:
            numbers |= {"ltu_ms": 1e3 * seconds["L^T u"],
                        "ltu_vs_onehot": seconds["L^T u, one-hot and einsum"] / seconds["L^T u"],
                        "sample_ms": 1e3 * seconds["a sample"], "gradient_vs_onehot": ratio}
            once = race("maps", {"all variances": lambda: marginal_variances(precision)}, 1)
            numbers["variances_ms"] = 1e3 * once["all variances"]
        else:
            numbers["gradient_vs_onehot_batch"] = ratio
    return numbers


def systems(n, images):
    """Iterations to a relative residual of 1e-6, in double precision, 5 x 5 windows."""
    truth, _, models = closed_form.models(n, images, 1, 0.02, (2,))
    precision, numbers = models["5x5"], {}
    v, source = truth[:1], torch.Generator().manual_seed(0)
    rough = precision.times(torch.randn(v.shape, generator=source, dtype=v.dtype))
    space = odl.rn((n, n))
    lines = data.cartesian_mask((n, n), 0.25, 0.08, np.random.default_rng(3))
    op = operators.SampledFourier(space.complex_space, lines) @ odl.ComplexEmbedding(space)
    normal = as_module(op.adjoint @ op)
    diagonal = precision.diagonal()
    proximals, posteriors = [], []
    for noise in (0.02, 0.1):
        noisy = v + noise * torch.randn(v.shape, generator=source, dtype=v.dtype)
        found = {}
        for name, x in (("images", noisy), ("rough", rough)):
            for pre in (Shifted, Jacobi):
                found[f"{name}, {pre.__name__}"] = int(proximal(
                    precision, x, noise**2, maxiter=999,
                    precondition=pre(precision, noise**2, 1.0)).niter[0])
        proximals.append(found["images, Shifted"])
        print(f"  noise {noise}: s^2 P <= {noise**2 * diagonal.max():.1f}; proximal: {found}")
        for name, back in (("images", normal(noisy)), ("rough", noise**2 * rough)):
            makers = {
                "Jacobi": lambda: Jacobi(precision, noise**2, 0.25),
                "covariance": lambda: Shifted(precision, noise**2, 0.0),
                "Shifted": lambda: Shifted(precision, noise**2, 0.25),
                "Split": lambda: Split(precision, noise**2, 0.05, normal)}
            found = {key: posterior_mean(precision, normal, back, noise, maxiter=999,
                                         precondition=make()).niter[0]
                     for key, make in makers.items()}  # fmt: skip
            print(f"  MRI, noise {noise}, {name}:", {k: int(v) for k, v in found.items()})
            if name == "images":
                posteriors.append(int(min(found.values())))
    numbers["prox_iterations"], numbers["mri_iterations"] = max(proximals), max(posteriors)
    return numbers
