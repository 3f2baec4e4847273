"""How good are the parameters that rules choose for total variation, on real images?

    python benchmarks/parameter_choice.py                     the images of pydicom-data
    python benchmarks/parameter_choice.py --data ../shared/data   and a photograph of Kodak
    python benchmarks/parameter_choice.py --size tiny         in seconds: does it run?

Tomography from many and from few views, magnetic resonance, deblurring and denoising at three
levels of white noise each. The best parameter is that of a grid with steps of sqrt(2); every rule
is scored by its PSNR below the best one, and by its parameter over the best one. One JSON object is
printed last.
"""

import argparse
import json
import math
from pathlib import Path

import timing  # noqa: F401  isort: skip
import numpy as np
import torch

import odl_learned  # noqa: F401  isort: skip
import odl

from odl_learned import bridge, data, functionals, metrics, operators, solvers, variational
from odl_learned.variational import parameter_choice

SIZES = {"tiny": {"n": 16, "levels": 1, "steps": 1, "rtol": 0.5, "maxiter": 50},
         "full": {"n": 64, "levels": 3, "steps": 7, "rtol": 0.02, "maxiter": 1500}}  # fmt: skip
LEVELS = {"ct": (0.01, 0.03, 0.1), "ct few views": (0.01, 0.03, 0.1), "mri": (0.01, 0.03, 0.1),
          "deblurring": (0.005, 0.02, 0.05), "denoising": (0.02, 0.05, 0.1)}  # fmt: skip


def photograph(folder, n):
    """The middle of a photograph, or of the MR image where there is none."""
    path = None if folder is None else folder / "natural" / "kodak24_gray.npz"
    if path is None or not path.exists():
        return magnitude(n)
    rows = np.load(path)["images"][4][:, 128:640].astype(float) / 255
    return data.downsample(data.orientation.from_rows(rows), 512 // n)


def magnitude(n):
    """The middle of the MR image of pydicom-data."""
    image = data.example_mr().array[128:896, 128:896].astype(float)
    return data.downsample(image / np.quantile(image, 0.999), 768 // n)


def slice_of_body(n):
    """The CT image of pydicom-data, relative to water."""
    attenuation = data.hounsfield_to_attenuation(data.example_ct().array)
    return data.downsample(attenuation / 0.2, 512 // n)


class Case:
    """A measurement of a real image with white noise, and how well images fit the truth."""

    def __init__(self, name, level, size, folder, rng):
        n, self.maxiter = size["n"], size["maxiter"]
        real = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
        if name.startswith("ct"):
            views = 2 * ((15 if name == "ct" else 7) * n // 64)
            self.A = 5 * operators.parallel_ray_transform(real, views)
            truth, self.constraint = slice_of_body(n), functionals.BoxConstraint(real, 0, 2.5)
        elif name == "mri":
            space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="complex64")
            self.A = operators.SampledFourier(space, data.cartesian_mask((n, n), 0.3, 0.08, rng))
            truth = magnitude(n) * data.smooth_phase(space, rng).data
            self.constraint = functionals.MagnitudeBound(space, 1.5)
        else:
            pixel = float(real.cell_sides[0])
            blur = operators.PeriodicConvolution(real, operators.gaussian_kernel(real, 1.5 * pixel))
            self.A = blur if name == "deblurring" else odl.IdentityOperator(real)
            truth, self.constraint = photograph(folder, n), functionals.BoxConstraint(real, 0, 1)
        self.truth = self.A.domain.element(truth.astype(self.A.domain.dtype))
        exact, Y = self.A(self.truth), self.A.range
        level = level if not name.startswith("ct") else level * float(np.mean(np.abs(exact.data)))
        measured = self.A.weights if name == "mri" else np.ones(Y.shape)
        self.levels = Y.element((level * measured).astype(Y.dtype))
        noise = data.add_white_noise(Y.zero(), 1.0, rng)
        self.y = exact + Y.element((level * measured * noise.data).astype(Y.dtype))

    def problem(self, alpha, y):
        """Total variation for data ``y``."""
        return variational.tv_problem(
            self.A, functionals.l2_fidelity(y), float(alpha), self.constraint)

    def solve(self, problem, accuracy, start):
        """Solve one problem as a batch of one, which is faster in torch."""
        x0, dual0 = (None, None) if start is None else (start.x.batch, start.dual)
        found = solvers.primal_dual(bridge.as_batch([problem]), x0, [accuracy], self.maxiter,
                                    dual0=dual0)
        x = self.A.domain.element(found.x[0].numpy())
        x.batch = found.x
        return found._replace(x=x, gap=float(found.gap[0]), niter=int(found.niter[0]),
                              reason=str(found.reason[0]))

    def psnr(self, x):
        """PSNR of an image, of magnitudes where it is complex."""
        return metrics.psnr(np.abs(x.data), np.abs(self.truth.data))


def best_of_grid(case, first, steps):
    """The parameter and PSNR of the best one, after a parabola through the best three."""
    alphas = first * 2.0 ** (np.arange(-steps, steps + 1) / 2)
    found = solvers.primal_dual(
        bridge.as_batch([case.problem(alpha, case.y) for alpha in alphas]), None, 1e-3,
        case.maxiter)
    values = [case.psnr(case.A.domain.element(x.numpy())) for x in found.x]
    k = min(max(int(np.argmax(values)), 1), len(values) - 2)
    c, b, _ = np.polyfit((-1, 0, 1), values[k - 1 : k + 2], 2)
    t = min(max(-b / (2 * c), -1.0), 1.0) if c < 0 else float(np.argmax(values) - k)
    return float(alphas[k] * 2 ** (t / 2)), float(max(values))


def rules(case, first, rtol):
    """Names of rules and what chooses by them."""
    A, y, solve = case.A, case.y, case.solve
    noise = solvers.Discrepancy(A, y, parameter_choice.white_noise_norm(A.range, case.levels), 1.0)
    yield "discrepancy", lambda: parameter_choice.by_discrepancy(
        lambda alpha: case.problem(alpha, y), noise, first, rtol, solve)
    yield "unbiased risk", lambda: parameter_choice.by_unbiased_risk(
        case.problem, A, y, case.levels, first, np.random.default_rng(1), 2 * rtol, solve)
    yield "cross-validation", lambda: parameter_choice.by_cross_validation(
        case.problem, A, y, first, np.random.default_rng(1), 2 * rtol, solve,
        measured=case.levels)


def scores(name, level, size, folder):
    """How far every rule is from the best parameter."""
    case = Case(name, level, size, folder, np.random.default_rng(0))
    first = parameter_choice.first_alpha(case.A, case.levels)
    best, psnr = best_of_grid(case, first, size["steps"])
    solution = case.solve(case.problem(first, case.y), 1e-3, None)
    result = {"first": {"ratio": first / best, "loss": psnr - case.psnr(solution.x)}}
    for rule, choose in rules(case, first, size["rtol"]):
        try:
            found = choose()
        except ValueError as error:
            result[rule] = {"error": str(error)}
            continue
        result[rule] = {"ratio": found.alpha / best, "loss": psnr - case.psnr(found.solution.x),
                        "trials": len(found.path), "reason": found.reason}  # fmt: skip
        fit = min(found.path, key=lambda trial: abs(trial.alpha - found.alpha))
        result[rule]["degrees"] = getattr(fit, "degrees", None)
    row = "  ".join(f"{rule} {found.get('ratio', math.nan):.2f} ({found.get('loss', math.nan):+.2f}"
                    " dB)" for rule, found in result.items())  # fmt: skip
    print(f"{name:12s} {level:5.3f} best {best:.3g} {psnr:.2f} dB: {row}", flush=True)
    return {"problem": name, "level": level, "best": best, "psnr": psnr, "rules": result}


def main(size, folder, only):
    size = SIZES[size]
    torch.set_num_threads(1)
    rows = [scores(name, level, size, folder) for name, levels in LEVELS.items()
            for level in levels[: size["levels"]] if only in (None, name)]
    worst = {rule: max(row["rules"][rule].get("loss", math.inf) for row in rows)
             for rule in rows[0]["rules"]}
    print(json.dumps({"worst_loss_db": worst, "cases": rows}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--data", type=Path, help="folder with natural/kodak24_gray.npz")
    parser.add_argument("--only", choices=LEVELS, help="one problem alone")
    arguments = parser.parse_args()
    main(arguments.size, arguments.data, arguments.only)
