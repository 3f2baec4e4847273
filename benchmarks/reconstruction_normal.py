"""What a fused normal operator spares: gradients of the data term, and whole reconstructions.

    python benchmarks/reconstruction_normal.py [--size tiny]

The last line printed is one JSON object: the time with ``A* A`` as one map over that without.
"""

import argparse
import json

import timing  # isort: skip
import numpy as np
import odl
import torch

from odl_learned import bridge, data, operators, reconstruction

SIZES = {"tiny": (16, 2, 2, 3), "full": (128, 8, 2, 15)}  # pixels, coils, batch, rounds


def measure(size):
    """Return the ratios by name."""
    n, coils, batch, rounds = SIZES[size]
    single = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="complex64")
    lines = data.cartesian_mask((n, n), 0.3, 0.08, np.random.default_rng(0))
    real = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    kernel = operators.gaussian_kernel(real, 1.5 * float(real.cell_sides[0]))
    problems = {
        "multicoil": operators.normalized(operators.MultiCoilFourier(
            single, lines, data.simulated_sensitivities(single, coils))),
        "fourier": operators.SampledFourier(single, lines),
        "convolution": operators.PeriodicConvolution(real, kernel),
    }
    numbers = {}
    for name, op in problems.items():
        numbers[f"normal_vs_parts_{name}"] = gradients(name, op, batch, rounds)
    numbers["unrolled_normal_vs_parts_multicoil"] = unrolled(problems["multicoil"], batch, rounds)
    return numbers


def gradients(name, op, batch, rounds):
    """Time of ``A*A u - A*y`` over that of ``A*(A u - y)``, with ``A* y`` at hand."""
    forward, adjoint, normal = (bridge.as_module(part)
                                for part in (op, op.adjoint, op.adjoint @ op))
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(batch, *op.domain.shape, dtype=getattr(torch, op.domain.dtype_identifier),
                    generator=generator)
    y = forward(torch.randn(u.shape, dtype=u.dtype, generator=generator))
    back = adjoint(y)
    timing.require_close(name, normal(u) - back, adjoint(forward(u) - y), 1e-4)
    seconds = timing.race(f"gradient of the data term, {name}, {tuple(u.shape)}", {
        "parts": timing.without_gradients(lambda: adjoint(forward(u) - y)),
        "fused": timing.without_gradients(lambda: normal(u) - back)}, rounds)
    return seconds["fused"] / seconds["parts"]


def unrolled(op, batch, rounds):
    """The same for ten learned gradient steps, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    normal = bridge.as_module(op.adjoint @ op)
    step = reconstruction.GradientStep(torch.nn.Identity(), reconstruction.LearnedStepSize(0.5))
    models = {name: reconstruction.LearnedProximalGradient(
        bridge.as_module(op), bridge.as_module(op.adjoint), [step] * 10, normal=one)
        for name, one in (("parts", None), ("fused", normal))}  # fmt: skip
    y = bridge.as_module(op)(torch.randn(batch, *op.domain.shape, dtype=torch.complex64,
                                         generator=generator))
    timing.require_close("the map", models["fused"](y), models["parts"](y), 1e-4)
    seconds = timing.race("ten gradient steps, forward and backward", {
        name: lambda model=model: model(y).abs().square().sum().backward()
        for name, model in models.items()}, rounds)
    return seconds["fused"] / seconds["parts"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="full")
    print(json.dumps(measure(parser.parse_args().size)))


if __name__ == "__main__":
    main()
