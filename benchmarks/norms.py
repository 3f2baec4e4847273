"""Applications that bounds of operator norms need, against power iteration with its residual.

For every operator and tolerance: how often ``A`` and ``A*`` are applied, and the value over the
norm, which must not be smaller than one.
"""

import argparse
import json
import math

import numpy as np
import odl

from odl_learned import data, operators, variational
from odl_learned import functionals as F
from odl_learned.operators.norms.lanczos import probable_bound

SIZES = {"tiny": (16, 8), "full": (256, 180)}  # pixels along an axis, views


def cases(n, views):
    """Operators of the package, without those whose norm is known in closed form."""
    rng = np.random.default_rng(0)
    X, C = (odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)
            for dtype in ("float32", "complex64"))  # fmt: skip
    ray = operators.parallel_ray_transform(X, views)
    mask = rng.random((n, n)) * (rng.random((n, n)) < 0.25)
    identity, outlier = odl.IdentityOperator(X), np.ones((n, n))
    outlier[n // 2, n // 3] = 1.6
    yield "ray transform", ray
    yield "(ray transform, gradient)", variational.tv_problem(
        ray, F.l2_fidelity(ray.range.zero()), 0.1).L
    yield "gradient", operators.gradient(X)
    yield "second order TGV", variational.tgv_problem(
        identity, F.l2_fidelity(X.zero()), 0.1, 0.01).L
    yield "8 coils, weighted", operators.MultiCoilFourier(
        C, mask, data.simulated_sensitivities(C, 8))
    yield "blur, zeros outside", operators.ZeroConvolution(X, operators.gaussian_kernel(X, 0.02))
    yield "filter bank", operators.FilterBank(X, rng.standard_normal((8, 5, 5)))
    yield "an entry of 1.6, others 1", odl.MultiplyOperator(X.element(outlier))


class Counted(odl.Operator):
    """An operator that counts its applications and forgets its closed form."""

    def __init__(self, op):
        super().__init__(op.domain, op.range, linear=True)
        self.op, self.count = op, 0

    def _call(self, x):
        self.count += 1
        return self.op(x)

    @property
    def adjoint(self):
        return self.op.adjoint


def power_iteration(op, adjoint, rng, rtol, maxiter=2000):
    """``sqrt(rho + r)`` with the Rayleigh quotient and its residual, as soon as ``r`` is small."""
    x = operators.random_element(op.domain, rng)
    for _ in range(maxiter):
        x = float(1 / x.norm()) * x
        image = adjoint(op(x))
        rho = float(np.real(image.inner(x)))
        residual = float((image - rho * x).norm())
        if math.sqrt(rho + residual) <= (1 + rtol) * math.sqrt(rho):
            break
        x = image
    return math.sqrt(rho + residual)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="full")
    results = {}
    for name, op in cases(*SIZES[parser.parse_args().size]):
        truth = operators.exact_norm(op)
        if truth is None:
            truth = operators.operator_norm(op, rtol=1e-4, maxiter=20000)
        row = []
        for rtol in (1e-2, 1e-3):
            for method, rest in ((probable_bound, (1e-6, 2000)), (power_iteration, ())):
                counted = Counted(op)
                value = method(counted, op.adjoint, np.random.default_rng(0), rtol, *rest)
                row += [counted.count, value / truth]
        results[name] = row
        print(f"{name:26}" + "".join(f"{row[i]:6d}{row[i + 1]:8.4f}" for i in (0, 2, 4, 6)))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
