"""Learned regularizers of ``regularizers.py`` at equal CPU time: how each is trained and used."""

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable

import numpy as np
import regularizers_problems as problems
import regularizers_ridges as ridges
import torch

from odl_learned import bridge, learning, networks, reconstruction, regularizers, solvers
from odl_learned.learning import objectives
from odl_learned.regularizers import certificates

#: steps of the gradient flow, its time at first, the strength of the regularizer there
STEPS, TIME, STRENGTH = 8, 1.0, 0.5
FLOW_BATCH, FLOW_RATE, WARM_UP = 8, 4e-3, 20
#: CPU seconds of training without minimizers, and of the fit of scales and strength behind it
UNSUPERVISED, FIT = 9.0, 4.5
#: squares of these, few enough to come back to each within that time
GAP_COUNT, FIT_COUNT = 256, 48
#: steps, alphas and noise levels of flows in other problems
CARRIED_STEPS = 24
GRIDS = {"ct": ((2e-4, 5e-4, 1e-3, 2e-3), (0.04, 0.06, 0.08, 0.12)),
         "inpainting": ((3e-3, 0.01, 0.03, 0.1), (0.06, 0.12, 0.24))}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Trained:
    """A regularizer, the map that denoises, and the CPU seconds of training."""

    regularizer: torch.nn.Module
    denoise: Callable
    seconds: float
    step: torch.nn.Module | None = None


def ridge(build, size):
    """A ridge by bilevel learning."""

    def train(images, seconds):
        R = build(*ridges.FILTERS[size])
        spent, _ = ridges.trained(R, images, seconds)
        return minimizing(R, spent)

    return train


def minimizing(R, seconds):
    return Trained(R, lambda y: ridges.denoiser(R, 400, accuracy=1e-4).solve(y).x, seconds)


def input_convex(images, seconds):
    """An input-convex network with a quadratic term and a bank of filters, by bilevel learning."""
    began = time.process_time()
    bank = ridges.crr(*ridges.FILTERS["small"])
    bank.growth.requires_grad_(False)
    few = problems.Crops(images, ridges.CROP, 4, 1).stacked()
    learning.search_scale(ridges.denoiser(bank, 2 * ridges.ITERATIONS), *few)
    net = regularizers.InputConvex(
        16, 2, 5, networks.Reflecting(), dimension=2, sharpness=4.0, strength=0.01,
        convexity=1e-4, generator=problems.generator(0))
    R = regularizers.Sum([net, bank])
    model = ridges.denoiser(R, ridges.FOLLOWING, accuracy=1e-4,
                            initial=reconstruction.WarmStart(torch.nn.Identity()))
    model.derivative = reconstruction.LastSteps(2)
    ridges.train_for(model, images, seconds - (time.process_time() - began))
    return minimizing(R, time.process_time() - began)


def deep_variation(images, seconds):
    """Total deep variation, 16 channels, 3 scales, one macro block, to a time of its flow."""
    began = time.process_time()
    R = regularizers.TotalDeepVariation(16, 3, 1, networks.Reflecting(), dimension=2,
                                        strength=STRENGTH, generator=problems.generator(0))
    step = reconstruction.FlowStep(
        R, problems.SIGMA, reconstruction.LearnedStepSize(TIME / STEPS))
    flow = reconstruction.LearnedProximalGradient(
        torch.nn.Identity(), torch.nn.Identity(), [step] * STEPS, torch.nn.Identity())
    ridges.train_for(flow, images, seconds, batch=FLOW_BATCH, rate=FLOW_RATE, warm_up=WARM_UP,
                     clip_norm=0.1)

    def denoise(y):
        with torch.no_grad():
            return flow(y)

    return Trained(R, denoise, time.process_time() - began, step)


def unsupervised(loss):
    """A weakly convex ridge by another loss, then 26 numbers of it by bilevel learning."""

    def train(images, seconds):
        began = time.process_time()
        R = ridges.wcrr(*ridges.FILTERS["small"])
        R.growth.requires_grad_(False)
        few = problems.Crops(images, ridges.CROP, 6, 1).stacked()
        solver = ridges.denoiser(R, 2 * ridges.ITERATIONS)
        learning.search_scale(solver, *few)
        if loss is not None:
            objective, model = loss(R, few)
            budget = min(UNSUPERVISED, seconds - FIT) if seconds else 0.0
            ridges.train_for(model, images, budget - (time.process_time() - began),
                             loss=objective, count=GAP_COUNT if loss is gap else ridges.COUNT)
        if loss in (adversarial, direct):  # which leave the scale open
            learning.search_scale(solver, *few, factors=[f - math.log(2) for f in ridges.FINE])
        fitted(R, images, min(FIT, seconds))
        return minimizing(R, time.process_time() - began)

    return train


def gap(R, few):
    """Gaps of energies: truths against reconstructions by the ridge itself."""
    start = reconstruction.WarmStart(torch.nn.Identity())
    return objectives.EnergyGap(), ridges.denoiser(R, ridges.FOLLOWING, accuracy=1e-4,
                                                   initial=start)


def adversarial(R, few):
    """Truths against noisy images, with a penalty."""
    R.logit.requires_grad_(False)
    with torch.no_grad():
        slope = float(R.at(problems.SIGMA).gradient(few[0]).flatten(1).norm(dim=1).mean())
    return objectives.Adversarial(10.0, slope), ridges.AtLevel(R, problems.SIGMA)


def direct(R, few):
    """Truths against noisy images, by a quotient."""
    R.logit.requires_grad_(False)
    return objectives.Direct(), ridges.AtLevel(R, problems.SIGMA)


def fitted(R, images, seconds):
    """Fit scales, sharpness and strength of a ridge by bilevel learning; filters stay."""
    R.requires_grad_(False)
    for parameter in (R.log_scale, R.sharpness, R.logit):
        parameter.requires_grad_(True)
    model = ridges.denoiser(R, ridges.ITERATIONS, accuracy=1e-4,
                            initial=reconstruction.WarmStart(torch.nn.Identity()))
    ridges.train_for(model, images, seconds, count=FIT_COUNT, seed=11)


#: Contestants by name.
CONTESTANTS = {
    "crr": ridge(ridges.crr, "composed"), "wcrr": ridge(ridges.wcrr, "composed"),
    "icnn": input_convex, "tdv": deep_variation, "gap": unsupervised(gap),
    "adversarial": unsupervised(adversarial), "direct": unsupervised(direct),
    "fit": unsupervised(None)}  # fmt: skip


def verdict(R):
    """What is certified: convexity with the modulus that is claimed."""
    R = copy.deepcopy(R).double()
    rho = R.constants()[1]
    modulus = 0.0 if isinstance(R, regularizers.TotalDeepVariation) else -rho
    found = certificates.certify_convexity(R, modulus, shape=(9, 8),
                                           generator=problems.generator(0))
    return f"{type(found).__name__} {modulus:.3g}-convex"


def carried_over(trained, problem, short):
    """PSNR of another problem; alpha and noise level the best on validation images."""
    if trained.step is None:
        return ridges.tuned(trained.regularizer, problem, ridges.GRIDS[short])
    y, truth = problem.val[0][:6], problem.val[1][:6]
    found = {}
    for point in itertools.product(*GRIDS[short]):
        x = flowed(trained, problem.val_ops[:6], y, *point)
        found[point] = problems.mean_psnr(x, truth)
    best = max(found, key=found.get)
    print("  validation: alpha {:.3g}, noise level {:.3g},".format(*best), round(found[best], 2))
    return problems.mean_psnr(flowed(trained, problem.test_ops, problem.test[0], *best),
                              problem.test[1])


def flowed(trained, ops, measured, alpha, level):
    """The flow, the data term implicit: ``(1 + c A^* A) u = v + c A^* y``."""
    with torch.no_grad():
        tau = float(trained.step.step_size())
        at, c, images = trained.regularizer.at(level), tau / alpha, []
        for A, y in grouped(ops, measured):
            forward, back = bridge.as_module(A), bridge.as_module(A.adjoint)
            u = ridges.first_image(A)(y)
            for _ in range(CARRIED_STEPS):
                b = u - tau * at.gradient(u) + c * back(y)
                accuracy = 1e-4 * b.flatten(1).norm(dim=1).numpy()
                u = solvers.conjugate_gradient(
                    lambda v: v + c * back(forward(v)), b, u, accuracy, 100).x
            images.append(u)
    return torch.cat(images)


def grouped(ops, measured):
    """One batch if the operator is one, else single samples."""
    if all(A is ops[0] for A in ops):
        whole = measured if isinstance(measured, torch.Tensor) else torch.as_tensor(
            np.stack(measured))
        return [(ops[0], whole)]
    return [(A, torch.as_tensor(y)[None]) for A, y in zip(ops, measured)]


