r"""A deep equilibrium for MRI that is a proven contraction, as an operator of ODL.

    u = T(u),    T(u) = q D(u - A*(A u - y)),    D = 1 - s grad R,    q = 0.98,

with a convex ridge R whose gradient is 2/s-Lipschitz by construction: T contracts by q, and its
last step bounds the error. With q = 1.5 it expands; the claim that it contracts is refuted.

    python examples/torch_to_odl_deep_equilibrium.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, plotting, regularizers
from odl_learned.reconstruction import DeepEquilibrium, GradientStep

SIZES = {"smoke": {"n": 16, "pairs": 20, "steps": 40},
         "paper": {"n": 64, "pairs": 100, "steps": 400}}  # fmt: skip
Q, NOISE = 0.98, 0.01


class Denoiser(torch.nn.Module):  # u -> q (u - s grad R(u))
    def __init__(self, ridge, q):
        super().__init__()
        self.ridge, self.q = ridge, q

    def forward(self, u):
        slope = self.ridge.at(2 * NOISE).gradient(u)
        return self.q * (u - min(1.0, 2 / self.ridge.constants()[0]) * slope)


def main(n, pairs, steps, out):
    rng, _ = np.random.default_rng(0), torch.manual_seed(0)
    X = odl.uniform_discr([0, 0], [1, 1], (n, n), dtype="complex64")
    A = operators.SampledFourier(X, data.cartesian_mask((n, n), 0.3, 0.1, rng))  # of norm one
    training, test = (data.FixedPairs.drawn(data.SimulatedPairs(
        lambda rng: X.element(data.random_body(X, rng).data * data.smooth_phase(X, rng).data),
        lambda x, rng: data.add_white_noise(A(x), NOISE, rng), size, size)) for size in (pairs, 1))
    filters = regularizers.ComposedFilters((1, 4, 8), 5, networks.Reflecting(), dimension=2)
    ridge = regularizers.Ridge(filters, regularizers.Huber(), sharpness=0.0, strength=1.0)
    def equilibrium(q, accuracy):  # claimed to contract by Q
        adjoint, step = bridge.as_module(A.adjoint), GradientStep(Denoiser(ridge, q), 1.0)
        return DeepEquilibrium(bridge.as_module(A), adjoint, step, dimension=2, initial=adjoint,
                               accuracy=accuracy, backward_accuracy=accuracy, contraction=Q)
    rough, model = equilibrium(Q, 1e-3), equilibrium(Q, 1e-5)  # the former learns faster
    learning.train(rough, training, steps=steps, batch_size=2, progress=False,
                   optimizer=torch.optim.Adam(ridge.parameters(), lr=2e-2))  # fmt: skip
    R, D = bridge.as_operator(model, A.range, X), bridge.as_operator(model.step.proximal, X, X)
    y, truth, batch = A.range.element(test.data[0]), test.truth[0], torch.as_tensor(test.data)
    x, start, slope, solution = R(y), A.adjoint(y), R.derivative(y), model.solve(batch)
    residual = (D(x - A.adjoint(A(x) - y)) - x).norm() / x.norm()  # by ODL
    bound = solution.error_bound[0] / float(solution.x.norm())
    h, w = (operators.random_element(space, rng) for space in (A.range, X))
    mismatch = abs((slope(h).inner(w) - h.inner(slope.adjoint(w))).real)
    try:
        refuted = not equilibrium(1.5, 1e-5).solve(batch)
    except ArithmeticError as error:
        refuted = "contraction is 0.98, but two points" in str(error)
    before, after = (metrics.psnr(abs(u.asarray()), abs(truth)) for u in (start, x))
    path = out / "torch_to_odl_deep_equilibrium.png"
    plotting.comparison({"zero filling": start, "deep equilibrium": x}, truth, path)
    print(f"PSNR {before:.2f} -> {after:.2f} dB, |T(u) - u| / |u| = {residual:.1e} after "
          f"{solution.niter[0]} iterations, error at most {bound:.1e} |u| -> {path}")
    assert after > before + 0.5, "training gains less than 0.5 dB over zero filling"
    assert residual <= 2e-5 and bound <= 1e-3 and refuted, "no fixed point, or no certificate"
    assert mismatch <= 2e-5 / (1 - Q) * slope(h).norm() * w.norm(), "the adjoint is none"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
