r"""Parameters of least risk: Stein's unbiased estimate, and generalized cross-validation.

With the residual ``rho = |A x - y| / |noise|`` and the share ``delta`` of degrees of freedom, see
`divergence`, the mean squared error of ``A x`` to the noise-free data, over that of the data, is
the mean of

    rho^2 - 1 + 2 delta ,

since ``|A x - A u|^2 = |A x - y|^2 - |eta|^2 + 2 <eta, A x - A u>`` for ``y = A u + eta``. Without
knowledge of the noise,

    rho^2 / (1 - delta)^2

is nearly proportional to it near its minimum, if ``delta`` is not near one.
"""

import warnings
from collections.abc import Callable

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_element
from odl_learned.solvers.checks import require_forward_operator
from odl_learned.validation import (
    is_finite_number,
    require_method,
    require_positive,
    require_rng,
)
from odl_learned.variational.parameter_choice.cross_validation import CrossValidation
from odl_learned.variational.parameter_choice.divergence import Probe
from odl_learned.variational.parameter_choice.fits import Risk, cross_validation, unbiased
from odl_learned.variational.parameter_choice.solving import Choice, by_primal_dual
from odl_learned.variational.parameter_choice.trials import Trials


def by_unbiased_risk(
    problem_of: Callable,
    forward_op: odl.Operator,
    data: LinearSpaceElement,
    noise_level: float | LinearSpaceElement,
    start: float,
    rng: np.random.Generator,
    rtol: float = 0.02,
    solve: Callable = by_primal_dual,
    width: float = 0.2,
    factor: float = 1e4,
    step: float = 0.3,
) -> Choice:
    r"""Find the parameter with the least estimated error of the data.

    .. math:: \min_\alpha \frac{|A x_\alpha(y) - y|^2}{|b|^2} - 1
              + 2 \frac{\langle b, A x_\alpha(y + t b) - A x_\alpha(y) \rangle}{t |b|^2},

    with a fixed probe ``b`` of the size of the noise. The mean of the objective is that of ``|A
    x_\alpha - A u|^2`` over the mean squared norm of the noise, with the true image ``u``. Every
    parameter takes two solves; all start from the ones before.

    Parameters
    ----------
    problem_of : callable
        ``(alpha, data) -> problem``, what ``solve`` solves, such as ``lambda alpha, y:
        tv_problem(A, l2_fidelity(y), alpha, constraint)``. The data term is ``1/2 |A x - y|^2``.
    forward_op : linear odl.Operator
        ``A``.
    data : element of ``forward_op.range``
        ``y``, with white noise.
    noise_level : float or element of the range
        Its standard deviation, as for `white_noise_norm`.
    start : float
        Parameter to try first, positive; see `first_alpha`.
    rng : numpy.random.Generator
        Of the signs of the probe.
    rtol : float, optional
        Solves are as accurate as makes ``|A x - A x_hat|`` at most this part of the noise.
    solve : callable, optional
        ``(problem, accuracy, start) -> Solution``, as for `by_discrepancy`.
    width : float, optional
        The parameter is good enough where a parabola through the last three has its minimum nearer
        than this fraction.
    factor : float, optional
        How far from ``start`` to look, larger than one.
    step : float, optional
        ``t``, the size of the disturbance over that of the noise. Small ones need accurate solves.

    Returns
    -------
    choice : Choice
        ``path`` holds a `Fit` for each parameter; in ``bracket``, the neighbors of larger risk.

    Raises
    ------
    ValueError
        If the risk has no minimum within ``factor`` of the start, or a number is out of bounds.
    TypeError
        If an argument is of another kind.

    Warns
    -----
    RuntimeWarning
        If the solve at the parameter found was not accurate, where ``reason`` is not
        ``"accuracy"``.

    References
    ----------
    Stein, C. M. Estimation of the mean of a multivariate normal distribution. Ann. Stat. 9 (1981).
    Ramani, S., Blu, T. and Unser, M. Monte-Carlo SURE: a black-box optimization of regularization
    parameters for general denoising algorithms. IEEE Trans. Image Process. 17 (2008). Eldar, Y. C.
    Generalized SURE for exponential families. IEEE Trans. Signal Process. 57 (2009).
    """
    _require(problem_of, forward_op, data, start, rng, solve,
             {"rtol": rtol, "width": width, "step": step, "factor": factor})  # fmt: skip
    probe = Probe.of_noise(forward_op.range, noise_level, rng)
    _require_noise("noise_level", noise_level, probe)
    risk = Risk(problem_of, forward_op, data, probe, unbiased, 1.0, rtol, solve, step)
    return _least(Trials(risk, float(start), width, factor))


def by_cross_validation(
    problem_of: Callable,
    forward_op: odl.Operator,
    data: LinearSpaceElement,
    start: float,
    rng: np.random.Generator,
    rtol: float = 0.02,
    solve: Callable = by_primal_dual,
    width: float = 0.2,
    factor: float = 1e4,
    step: float = 0.3,
    measured: float | LinearSpaceElement = 1.0,
) -> Choice:
    r"""Find the parameter of least generalized cross-validation, without knowing the noise.

    .. math:: \min_\alpha \frac{|A x_\alpha - y|^2 / |b|^2}{(1 - \delta_\alpha)^2}, \qquad
              \delta_\alpha = \frac{\langle b, A x_\alpha(y + t b) - A x_\alpha(y) \rangle}
              {t |b|^2} .

    For Tikhonov's method, whose ``A x_\alpha(y)`` is linear in ``y``, ``delta`` is Hutchinson's
    estimate of the trace of its matrix over ``n``, for any ``t``. Parameters at which ``1 - delta``
    is no larger than its error decide nothing. The search begins at the first one from ``start``
    upwards that leaves half of the data, and again where the residual of its answer is less than
    half of that which made the step.

    Parameters
    ----------
    problem_of, forward_op, data, start, rng, rtol, solve, width, factor
        As for `by_unbiased_risk`; in place of the noise there is the residual where the search
        begins.
    step : float, optional
        ``t`` over that residual.
    measured : float or element of the range, optional
        Relative standard deviations of the noise, where they differ: zero where nothing is
        measured.

    Returns
    -------
    choice : Choice
        As of `by_unbiased_risk`; residuals and risks are in units of ``|b|`` with ``measured``, and
        ``path`` holds what was tried with other steps, too.

    Raises
    ------
    ValueError, TypeError
        As `by_unbiased_risk`, and if the risk falls to where it decides nothing.

    Warns
    -----
    RuntimeWarning
        As `by_unbiased_risk`.

    References
    ----------
    Golub, G. H., Heath, M. and Wahba, G. Generalized cross-validation as a method for choosing a
    good ridge parameter. Technometrics 21 (1979). Girard, D. A. A fast Monte-Carlo
    cross-validation procedure for large least squares problems with noisy data. Numer. Math. 56
    (1989).
    """
    _require(problem_of, forward_op, data, start, rng, solve,
             {"rtol": rtol, "width": width, "step": step, "factor": factor})  # fmt: skip
    probe = Probe.of_noise(forward_op.range, measured, rng)
    _require_noise("measured", measured, probe)
    risk = Risk(problem_of, forward_op, data, probe, cross_validation, None, rtol, solve, step)
    return _least(CrossValidation(risk, float(start), width, factor))


def _least(trials):
    """Return the `Choice` of least risk."""
    search, found = trials.least()
    if found.reason != "accuracy":
        warnings.warn(
            f"the solve at the parameter found, alpha = {search.alpha:.3g}, ended with the reason "
            f"{found.reason!r} and a gap of {found.gap:.3g}; expected a solve to the accuracy that "
            "rtol asks for. The risk was estimated from what it returned. Allow the solver more "
            "iterations (solve), or take a larger rtol.",
            RuntimeWarning,
            stacklevel=3,
        )
    return Choice(search.alpha, search.bracket, found, trials.path, found.reason)


def _require(problem_of, forward_op, data, start, rng, solve, numbers):
    require_method("problem_of", problem_of, "lambda alpha, y: tv_problem(A, l2_fidelity(y), "
                   "alpha, constraint)", 2)  # fmt: skip
    require_method("solve", solve, "by_primal_dual", 3)
    require_forward_operator(forward_op)
    require_element("data", data, forward_op.range)
    require_positive("start", start)
    require_rng(rng)
    for name in ("rtol", "width", "step"):
        require_positive(name, numbers[name])
    if not (is_finite_number(numbers["factor"]) and numbers["factor"] > 1):
        raise ValueError(
            f"factor is {numbers['factor']!r}; expected a finite number greater than one.")


def _require_noise(name, level, probe):
    if not probe.norm > 0:
        raise ValueError(f"{name} is {level!r}, zero everywhere; expected a positive standard "
                         "deviation where something is measured.")
