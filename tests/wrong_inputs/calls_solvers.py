"""Valid calls of variational problems and solvers."""

import numpy as np
import odl
from instances.functionals import counts
from instances.spaces import GRAD, X, element, filters

from odl_learned import functionals, operators, solvers, variational
from odl_learned.variational import parameter_choice

A = operators.mask_operator(X, np.ones((5, 7)))
FIDELITY = functionals.l2_fidelity(element(X))
TV = functionals.SmoothedTV(X, 1.0, 0.5, 0.5) + FIDELITY
BOX = functionals.BoxConstraint(X, -5, 5)
PROBLEM = variational.tv_problem(A, FIDELITY, 0.1, BOX)
FEW = {"accuracy": 0.1, "maxiter": 5}
CONSTANTS = {"lipschitz": 1e4, "strong_convexity": 1.0}
SYSTEM = odl.IdentityOperator(X) + GRAD.adjoint @ GRAD
POSITIVE = element(X) * element(X)
WAVELET = operators.OrthogonalWavelet(odl.uniform_discr([0, 0], [4, 12], (4, 12)), "db2", 1)
FACTORS = np.linspace(0.2, 2, 35).reshape(5, 7)
DIAGONAL = odl.MultiplyOperator(X.element(FACTORS))
NOISY = DIAGONAL(X.one()) + 0.1 * element(X)


def shrink(alpha, accuracy, start):
    """Tikhonov's denoising in closed form."""
    return solvers.Solution(element(X) / (1 + alpha), None, 1, "accuracy", gap=0.0)


def ridge(problem, accuracy, start):
    """Tikhonov's method for a diagonal operator, in closed form."""
    alpha, y = problem
    x = X.element(FACTORS / (FACTORS**2 + alpha)) * y
    return solvers.Solution(x, None, 1, "accuracy", gap=0.0)


VARIATIONAL = {
    "Problem": (variational.Problem, lambda: dict(
        f=FIDELITY, g=odl.functionals.GroupL1Norm(GRAD.range), L=GRAD, balance=1.0,
        strong_convexity=1.0, norm=10.0)),
    "experts_problem": (variational.experts_problem, lambda: dict(
        forward_op=A, fidelity=FIDELITY, filters=filters(2, (3, 3)), alphas=[0.1, 0.2],
        constraint=BOX)),
    "h1_problem": (variational.h1_problem, lambda: dict(
        forward_op=A, fidelity=FIDELITY, alpha=0.1, constraint=BOX)),
    "tgv_problem": (variational.tgv_problem, lambda: dict(
        forward_op=A, fidelity=FIDELITY, alpha=0.1, beta=1.0, constraint=BOX)),
    "tikhonov_problem": (variational.tikhonov_problem, lambda: dict(
        forward_op=A, fidelity=FIDELITY, alpha=0.1, constraint=BOX)),
    "tv_problem": (variational.tv_problem, lambda: dict(
        forward_op=A, fidelity=FIDELITY, alpha=0.1, constraint=BOX)),
    "by_discrepancy": (parameter_choice.by_discrepancy, lambda: dict(
        problem_of_alpha=lambda alpha: alpha, discrepancy=solvers.Discrepancy(
            odl.IdentityOperator(X), element(X), 0.5 * float(element(X).norm()), 1.0),
        start=0.1, rtol=0.5, solve=shrink, width=0.5, factor=1e3, convexity=1.0)),
    "by_primal_dual": (parameter_choice.by_primal_dual, lambda: dict(
        problem=PROBLEM, accuracy=0.5, start=None)),
    "by_cross_validation": (parameter_choice.by_cross_validation, lambda: dict(
        problem_of=lambda alpha, y: (alpha, y), forward_op=DIAGONAL,
        data=DIAGONAL(X.one()) + element(X),
        start=0.1, rng=np.random.default_rng(0), rtol=0.1, solve=ridge, width=0.5, factor=1e3,
        step=0.3, measured=1.0)),
    "by_unbiased_risk": (parameter_choice.by_unbiased_risk, lambda: dict(
        problem_of=lambda alpha, y: (alpha, y), forward_op=DIAGONAL, data=NOISY,
        noise_level=0.1, start=0.1, rng=np.random.default_rng(0), rtol=0.1, solve=ridge,
        width=0.5, factor=1e3, step=0.3)),
    "constant_alpha": (parameter_choice.constant_alpha, lambda: dict(
        forward_op=A, data=element(X))),
    "first_alpha": (parameter_choice.first_alpha, lambda: dict(
        forward_op=A, noise_level=0.1, rng=np.random.default_rng(0))),
    "white_noise_norm": (parameter_choice.white_noise_norm, lambda: dict(
        space=X, noise_level=0.1)),
    "zero_alpha": (parameter_choice.zero_alpha, lambda: dict(
        forward_op=odl.IdentityOperator(WAVELET.domain), data=WAVELET.domain.one(),
        transform=WAVELET)),
}

SOLVERS = {
    "Accelerated": (solvers.Accelerated, lambda: dict(strong_convexity=1.0, ratio=2.0)),
    "AdaptiveSteps": (solvers.AdaptiveSteps, lambda: dict(ratio=1.0, change=0.5, decay=0.9)),
    "Backtracking": (solvers.Backtracking, lambda: dict(start=1.0)),
    "Discrepancy": (solvers.Discrepancy, lambda: dict(
        forward_op=A, data=element(X), noise_norm=0.1, tau=1.1)),
    "FixedSteps": (solvers.FixedSteps, lambda: dict(ratio=1.0, tau=0.1, sigma=0.1)),
    "LinearRate": (solvers.LinearRate, lambda: dict(primal=1.0, dual=1.0)),
    "accelerated_gradient": (solvers.accelerated_gradient, lambda: dict(
        f=TV, x0=X.zero(), **FEW, **CONSTANTS)),
    "circulant": (solvers.circulant, lambda: dict(symbol=1 + np.ones((5, 7)))),
    "cosine": (solvers.cosine, lambda: dict(symbol=1 + np.ones((5, 7)))),
    "conjugate_gradient": (solvers.conjugate_gradient, lambda: dict(
        operator=SYSTEM, b=element(X), x0=X.zero(), **FEW, lower_bound=1.0)),
    "fista": (solvers.fista, lambda: dict(
        f=FIDELITY, g=BOX, x0=X.zero(), **FEW, **CONSTANTS | {"lipschitz": 1.0})),
    "fixed_point": (solvers.fixed_point, lambda: dict(
        step=lambda x: 0.5 * x, x0=X.one(), **FEW, memory=2, contraction=0.5)),
    "gradient_descent": (solvers.gradient_descent, lambda: dict(
        f=TV, x0=X.zero(), **FEW, **CONSTANTS)),
    "landweber": (solvers.landweber, lambda: dict(
        forward_op=A, data=element(X), x0=X.zero(), noise_norm=0.1, tau=1.1, omega=0.5, maxiter=5,
        preconditioner=solvers.RowColumnWeights())),
    "linearized_bregman": (solvers.linearized_bregman, lambda: dict(
        forward_op=A, data=element(X), v0=X.zero(), regularizer=odl.functionals.L1Norm(X),
        alpha=0.1, noise_norm=0.1, tau=1.1, omega=0.5, maxiter=5)),
    "lsqr": (solvers.lsqr, lambda: dict(
        forward_op=A, data=element(X), x0=X.zero(), **FEW, damp=0.1)),
    "mlem": (solvers.mlem, lambda: dict(
        forward_op=A, data=counts(X), x0=X.one(), background=X.one(), maxiter=3)),
    "neumann_laplacian": (solvers.neumann_laplacian, lambda: dict(shape=(5, 7), cell_sides=1.0)),
    "newton_krylov": (solvers.newton_krylov, lambda: dict(
        f=FIDELITY, x0=X.zero(), **FEW, strong_convexity=1.0)),
    "osem": (solvers.osem, lambda: dict(
        forward_ops=[A], data=[counts(X)], x0=X.one(), backgrounds=[X.one()], maxiter=3)),
    "periodic_laplacian": (solvers.periodic_laplacian, lambda: dict(
        shape=(5, 7), cell_sides=1.0)),
    "primal_dual": (solvers.primal_dual, lambda: dict(problem=PROBLEM, **FEW)),
    "proximal_gradient": (solvers.proximal_gradient, lambda: dict(
        f=FIDELITY, g=BOX, x0=X.zero(), **FEW, **CONSTANTS | {"lipschitz": 1.0})),
    "restarted_gradient": (solvers.restarted_gradient, lambda: dict(
        f=TV, x0=X.zero(), **FEW, **CONSTANTS)),
    "rof": (solvers.rof, lambda: dict(data=element(X), alpha=0.1, **FEW, exponent=2)),
    "sart": (solvers.sart, lambda: dict(
        forward_ops=[A], data=[element(X)], x0=X.zero(), noise_norm=0.1, tau=1.1, omega=0.5,
        maxiter=3)),
    "stationary_gradient": (solvers.stationary_gradient, lambda: dict(
        f=TV, x0=X.zero(), **FEW, lipschitz=1e4, weak_convexity=1.0)),
    "tgv_denoising": (solvers.tgv_denoising, lambda: dict(
        data=element(X), alpha=0.1, beta=1.0, **FEW)),
    "tgv_gradient": (solvers.tgv_gradient, lambda: dict(u=element(X), beta=1.0, **FEW)),
    "tgv_value": (solvers.tgv_value, lambda: dict(u=element(X), beta=1.0, **FEW)),
}

WEST = {f"variational.{name}": call for name, call in VARIATIONAL.items()} | {
    f"solvers.{name}": call for name, call in SOLVERS.items()}
