"""Energies of ODL expressions against autograd through the same operators: races of learning.

(alpha, nu) of smoothed total variation are learned by ``lbfgsb`` with its defaults, until the value
is certified to a relative error of 1e-3, from an alpha almost five times too large. The
other side is ``AutogradEnergy`` of the same functional, with the same constants, without a
preconditioner; both run in turn. The learned alpha is compared with a grid search.
"""

import math
import statistics
import time
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, operators
from odl_learned.energies import AutogradEnergy, energy_of
from odl_learned.functionals import Coordinate, Exponential, parameter_space, smoothed_length
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel

F, ACCURACY = odl.functionals, 1e-3


def functional(forward_op, xi):
    """``|A u - y|^2 / 2 + e^theta_0 int sqrt(|grad u|^2 + e^(2 theta_1)) + xi/2 |u|^2``."""
    space, target = forward_op.domain, forward_op.range
    domain = odl.ProductSpace(space, parameter_space(space, 2), target)
    u, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    alpha, nu = (Exponential(Coordinate(domain[1], i)) @ theta for i in (0, 1))
    return (0.5 * F.L2NormSquared(target) @ (forward_op @ u - y)
            + smoothed_length(operators.gradient(space) @ u, alpha, nu)
            + (xi / 2) * F.L2NormSquared(space) @ u)  # fmt: skip


def tomography(folder, n=128, views=60, pairs=5, noise=0.02):
    """Real CT slices of different patients, parallel beam."""
    with np.load(Path(folder) / "ct" / "ct_slices_256.npz") as file:
        images, split = file["images"], file["split"]
        patient = file["patient"]
    train = np.flatnonzero(split == "train")
    _, first = np.unique(patient[train], return_index=True)
    chosen = images[train[first[:pairs]]].astype(float)
    side = chosen.shape[1] // n
    chosen = chosen.reshape(pairs, n, side, n, side).mean((2, 4)) / 1000 + 1
    truth = np.stack([data.orientation.from_rows(image) for image in chosen])
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    return _simulated(operators.parallel_ray_transform(space, views), truth, noise, 1e-2)


def magnetic_resonance(folder, n=128, coils=4, pairs=2, noise=0.02):
    """Real magnitudes of brains, half of the lines, with simulated coils and a smooth phase."""
    chosen = data.read_slices(Path(folder) / "mri" / "mri_brain_256.npz", "train", pairs, 256 // n)
    rng = np.random.default_rng(1)
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="complex128")
    truth = np.stack([data.orientation.from_rows(image) * data.smooth_phase(space, rng).data
                      for image in chosen])  # fmt: skip
    mask = data.cartesian_mask(space.shape, 0.5, 0.1, rng)
    maps = data.simulated_sensitivities(space, coils)
    forward_op = operators.MultiCoilFourier(space, mask, maps)
    return _simulated(forward_op, truth, noise, 1e-2)


def _simulated(forward_op, truth, noise, xi):
    """The functional, truth and noisy data as tensors in double precision."""
    rng = np.random.default_rng(0)
    dtype = torch.complex128 if np.iscomplexobj(truth) else torch.float64
    truth = torch.as_tensor(truth, dtype=dtype)
    module = bridge.as_module(forward_op)
    single = truth if forward_op.domain.dtype.itemsize >= 8 and truth.is_complex() else (
        truth.to(getattr(torch, str(forward_op.domain.dtype_identifier))))
    clean = module(single).to(dtype)
    level = noise * float(clean.abs().max())
    errors = torch.as_tensor(rng.standard_normal(clean.shape)).to(dtype)
    if dtype.is_complex:
        errors = (errors + 1j * torch.as_tensor(rng.standard_normal(clean.shape))) / 2**0.5
    return functional(forward_op, xi), truth, clean + level * errors


def contestants(problem):
    """Both energies of a functional, and the bilevel problem of each."""
    f, truth, measured = problem
    rules = energy_of(f)
    module = bridge.as_energy(f)
    plain = AutogradEnergy(module if truth.is_complex() else module.to(torch.float64),
                           rules.lipschitz, rules.strong_convexity,
                           curvature_constants=rules.curvature_constants)  # fmt: skip
    loss = SquaredError(truth, 1 / truth.numel())
    return {name: BilevelProblem(energy, measured, loss, torch.zeros_like(truth))
            for name, energy in (("rules", rules), ("autograd", plain))}


def learned(problem, params):
    """Return what is learned, and CPU seconds."""
    began = time.process_time()
    found = lbfgsb(problem, torch.tensor(params, dtype=torch.float64), ftol=ACCURACY)
    return found, time.process_time() - began


def race(name, problem, params, rounds):
    """Median seconds, values and bounds of both sides, and the share of seconds of the rules."""
    sides, seconds, found = contestants(problem), {"rules": [], "autograd": []}, {}
    for _ in range(rounds):
        for side, contestant in sides.items():
            found[side], spent = learned(contestant, params)
            seconds[side].append(spent)
            print(name, side, f"{spent:.1f} s", found[side].params.tolist(), found[side].value,
                  found[side].value_bound, found[side].reason, flush=True)  # fmt: skip
    numbers = {}
    for side, last in found.items():
        numbers |= {
            f"{name}_{side}_seconds": statistics.median(seconds[side]),
            f"{name}_{side}_value": last.value,
            f"{name}_{side}_relative_bound": last.value_bound / last.value,
            f"{name}_{side}_products": int(last.history["hessian_products"][-1]),
        }  # fmt: skip
    share = numbers[f"{name}_rules_seconds"] / numbers[f"{name}_autograd_seconds"]
    log_alpha = float(found["rules"].params[0])
    best = grid_search(sides["rules"], found["rules"].params)
    return numbers | {f"{name}_vs_autograd": share, f"{name}_alpha": math.exp(log_alpha),
                      f"{name}_alpha_from_grid": abs(math.expm1(log_alpha - best))}  # fmt: skip


def grid_search(problem, params, width=0.5, refinements=3):
    """The log alpha of least certified value on a grid around params, refined by four each time."""
    lower, values = LowerLevel(problem), {}
    accuracy = 3e-5 * float(problem.loss.truth.flatten(1).norm(dim=1).mean())

    def value(log_alpha):
        at = round(log_alpha, 9)
        if at not in values:
            point = torch.cat([params.new_tensor([at]), params[1:]])
            found = Implicit()(lower, point, accuracy, accuracy * problem.loss.factor)
            values[at] = found.corrected_value
        return values[at]

    center = float(params[0])
    for step in (width / 4**k for k in range(refinements + 1)):
        center = min((center + k * step for k in range(-2, 3)), key=value)
    left, here, right = (value(center + k * step) for k in (-1, 0, 1))
    return center + step / 2 * (left - right) / (left - 2 * here + right)


def races(folder, rounds=3):
    """Both races, tomography and magnetic resonance with several coils."""
    return (race("ct", tomography(folder), (-7.0, -2.0), rounds)
            | race("multicoil", magnetic_resonance(folder), (-5.7, -3.0), rounds))
