"""Hypergradients against differences of the upper level, for users of their own energies."""

from typing import NamedTuple

import numpy as np
import torch

from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel.hypergradients.certificates import Mode, require_hypergradient
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.validation import require_count, require_method, require_positive, require_rng

LEVELS, TRIALS = 4, 3


class Differences(NamedTuple):
    r"""What a check of a hypergradient found, one entry per direction.

    Parameters
    ----------
    slopes : numpy.ndarray
        ``<z, v>`` with the computed gradient ``z``.
    quotients : numpy.ndarray
        The same from differences of ``f``, extrapolated.
    errors : numpy.ndarray
        Their distance, relative to ``|z|``, the size of ``<z, v>`` for random ``v``.
    uncertainties : numpy.ndarray
        Estimated errors of the quotients, relative to the same.
    """

    slopes: np.ndarray
    quotients: np.ndarray
    errors: np.ndarray
    uncertainties: np.ndarray


def check_hypergradient(
    problem: BilevelProblem,
    params: torch.Tensor,
    mode: Mode,
    rng: np.random.Generator,
    tolerance: float = 1e-6,
    step: float = 1e-2,
    directions: int = 2,
    solver: LowerSolver | None = None,
) -> Differences:
    r"""Compare a hypergradient with difference quotients of the upper level.

    .. math:: D(h) = \frac{f(\theta + h v) - f(\theta - h v)}{2 h}
              = \langle \nabla f, v \rangle + c_2 h^2 + c_4 h^4 + \dots

    for ``h``, ``h/2``, ``h/4`` and ``h/8``, extrapolated to zero by Romberg's scheme, and for a
    smaller ``h`` where that is not accurate. Lower levels are solved so accurately that their
    errors, divided by the step, stay below a tenth of the tolerance. The first direction is that of
    the gradient, the others are standard normal.

    Parameters
    ----------
    problem : BilevelProblem
    params : tensor ``(P,)``
        In double precision, inside of the bounds of the problem.
    mode : callable
        ``(lower, params, accuracy, adjoint_accuracy) -> Hypergradient``.
    rng : numpy.random.Generator
    tolerance : float, optional
        Of ``|<z, v> - <grad f, v>|`` relative to ``|z|``, about the relative error of ``z``.
    step : float, optional
        ``h``, the largest change of a parameter of typical direction.
    directions : int, optional
        Number of directions, the one of the gradient included.
    solver : callable, optional
        Lower-level solver, see `LowerLevel`.

    Returns
    -------
    differences : Differences

    Raises
    ------
    AssertionError
        If the hypergradient is wrong, or the differences are not accurate enough to say so.
    ValueError
        If all parameters are on their bounds.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import hypergradients
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> found = hypergradients.check_hypergradient(
    ...     problem, alpha, hypergradients.Direct(50), np.random.default_rng(0))
    >>> isinstance(found, hypergradients.Differences)
    True
    >>> print(found.errors.max() < 1e-6)
    True
    """
    require_rng(rng)
    require_problem(problem)
    require_method("mode", mode, "hypergradients.Implicit()", 4)
    problem.require_params(params, "params")
    require_count("directions", directions)
    require_positive("tolerance", tolerance)
    require_positive("step", step)
    params = params.detach()
    lower = LowerLevel(problem, solver)
    slope = problem.loss.gradient(problem.x0)
    size = float((sample_norms(problem.x0) + sample_norms(slope)).max()) or 1.0
    found = mode(lower, params, 1e-4 * tolerance * size, 1e-4 * tolerance * size)
    require_hypergradient(found)
    gradient = found.gradient.detach()
    scale = max(float(gradient.norm()), 1e-300)
    steepness = max(float(sample_norms(problem.loss.gradient(found.x)).sum()), 1e-300)

    def quotient(v, h):
        accuracy = min(tolerance * h * scale / (80 * steepness), 1e-4 * size)
        upper, lower_value = (_value(lower, params + t * v, accuracy) for t in (h, -h))
        return (upper - lower_value) / (2 * h)

    rows = []
    for number in range(directions):
        v = torch.as_tensor(rng.standard_normal(params.shape), dtype=params.dtype)
        if number == 0 and gradient.any():
            v = gradient / gradient.abs().max()
        v = _inside(problem, params, v, step)
        # Each trial has smaller steps: where f is not smooth enough, extrapolation fails above.
        trials = []
        for trial in range(TRIALS):
            trials.append(_romberg(lambda h, v=v: quotient(v, h), step / 4**trial))
            if trials[-1][1] <= tolerance * scale / 4:
                break
        best, uncertainty = min(trials, key=lambda found: found[1])
        along = float(gradient @ v)
        rows.append((along, best, abs(along - best) / scale, uncertainty / scale))
    result = Differences(*(np.array(column) for column in zip(*rows, strict=True)))
    _judge(result, tolerance, step)
    return result


def _value(lower, params, accuracy):
    x = lower.solve(params, accuracy).x
    penalty, _ = lower.problem.penalty_value_and_gradient(params)
    return float(lower.problem.loss.value(x).sum()) + penalty


def _judge(result, tolerance, step):
    unsure = result.uncertainties > tolerance
    if unsure.any():
        k = int(np.argmax(result.uncertainties))
        raise AssertionError(
            f"differences with steps from {step:g} have a relative error of about "
            f"{result.uncertainties[k]:.2g}, expected at most {tolerance:g}; pass a smaller step "
            "if f bends strongly in params, a larger one if f is flat, or a larger tolerance."
        )
    wrong = result.errors > tolerance
    if wrong.any():
        k = int(np.argmax(result.errors))
        raise AssertionError(
            f"the hypergradient has the slope {result.slopes[k]:.12g} in direction {k}, expected "
            f"{result.quotients[k]:.12g} by differences (relative distance {result.errors[k]:.2g}, "
            f"tolerance {tolerance:g}); check mixed_adjoint and hessian of the energy, or the "
            "accuracies that the mode reaches."
        )


def _romberg(quotient, step):
    """The extrapolated quotient, and the largest change by the last row and the last column."""
    table = []
    for i in range(LEVELS):
        row = [quotient(step / 2**i)]
        for j in range(i):
            row.append(row[j] + (row[j] - table[i - 1][j]) / (4 ** (j + 1) - 1))
        table.append(row)
    best = table[-1][-1]
    return best, max(abs(best - table[-1][-2]), abs(best - table[-2][-1]))


def _inside(problem, params, v, step):
    """The direction, damped where a parameter is close to its bounds."""
    lower, upper = (torch.as_tensor(b, dtype=params.dtype) for b in (problem.lower, problem.upper))
    room = torch.minimum(params - lower, upper - params).clamp_min(0) * torch.ones_like(params)
    reach = step * v.abs()
    damped = torch.where(reach > room, v * room / reach.clamp_min(1e-300), v)
    if not damped.any():
        raise ValueError(
            "all parameters are on their bounds, where differences would leave the problem; pass "
            "params inside of the bounds."
        )
    return damped
