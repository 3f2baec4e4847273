r"""Derivative-free bilevel learning with dynamic accuracy.

.. math:: \min_\theta f(\theta) = \sum_i c\, |\hat x_i(\theta) - x_i^*|^2 + p(\theta), \qquad
          a \le \theta \le b .

The lower level is solved as accurately as the decision at hand needs, and no further: Algorithm 1
of M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, Journal
of Mathematical Imaging and Vision 63 (2021), with line numbers and equations from there.
"""

import torch

from odl_learned.learning.bilevel.derivative_free.accuracy_rules import DynamicAccuracy
from odl_learned.learning.bilevel.derivative_free.box import Box
from odl_learned.learning.bilevel.derivative_free.inexact_search import ETA1, ETA2, TrustRegion
from odl_learned.learning.bilevel.derivative_free.residuals import (
    BudgetError,
    Evaluations,
    ImageResiduals,
    PixelResiduals,
)
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Restarted
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Journal, Learned
from odl_learned.learning.bilevel.run import Run, require_one_process
from odl_learned.learning.bilevel.settings import described, setting_of
from odl_learned.validation import require_count, require_method, require_positive


def dynamic_accuracy(
    problem: BilevelProblem,
    params0: torch.Tensor,
    maxeval: int,
    solver: LowerSolver | None = None,
    residuals: PixelResiduals | ImageResiduals = PixelResiduals(),
    radius: float = 0.1,
    largest_radius: float = 1.0,
    smallest_radius: float = 1e-6,
    eta: float = 0.05,
    model_accuracy: float = 10.0,
    run: Run = Run(),
) -> Learned:
    r"""Learn parameters without derivatives and with as little lower-level work as possible.

    Gauss-Newton models ``m(s) = |r~ + J s|^2 + p(theta + s)`` interpolate the residuals linearly at
    n + 1 points, where they are known up to ``10 Delta^2``; the penalty enters exactly. A step
    ``s`` is judged by ``rho = (f~(theta) - f~(theta + s)) / (m(0) - m(s))``, with both values known
    to (32),

    .. math:: |\tilde f - f| \le \eta_1' [m(0) - m(s)],

    or so well that the interval of ``rho`` leaves no choice.

    Parameters
    ----------
    problem : BilevelProblem
        With finite bounds, to which the trust region is scaled, and the loss `SquaredError`.
    params0 : tensor ``(P,)``
        Start, within the bounds; up to about a hundred parameters.
    maxeval : int
        Largest number of points where the lower level is solved, more than P. To know one of them
        more accurately later counts as work, not as an evaluation.
    solver : lower-level solver, optional
        See `LowerLevel`. Default: ``Restarted()``.
    residuals : PixelResiduals or ImageResiduals, optional
        `PixelResiduals` (default): one residual for every real number of all images, whose models
        know more; `ImageResiduals`: one for every image, as in the paper. Lower levels start at the
        nearest of the last P + 1 reconstructions, or at what the model predicts.
    radius, largest_radius, smallest_radius : float, optional
        First, largest and smallest trust-region radius, where the box has width one; when its
        lower bound is below the smallest, the algorithm stops.
    eta : float, optional
        ``eta_1'``, at most 0.05.
    model_accuracy : float, optional
        Residuals of models are known up to this times ``Delta^2``; 10 in the paper. Errors of
        n + 1 points add up: with many parameters and `ImageResiduals`, 1 takes fewer evaluations.
    run : Run, optional
        Checkpoint, callback and progress bar; rows are evaluations, more accurate ones of known
        points included.

    Returns
    -------
    Learned
        ``value_bound`` is a certificate if that of the solver is; ``reason`` is ``"radius"`` or
        ``"maxeval"``. The history has ``evaluation`` (number of points so far), ``params``,
        ``value``, ``value_bound``, ``accuracy`` (asked for the reconstructions), ``error_bound``
        (reached), ``gradients`` and ``hessian_products`` (of single images, since the start),
        ``radius``, ``ratio`` (the last ``rho``), ``best`` and ``best_value`` (of the iterate), and
        ``seconds``.

    Raises
    ------
    ValueError
        If bounds are not finite, the start is not within them, or numbers contradict the theory.
    TypeError
        If the loss is not a squared error.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import derivative_free, lower
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> residuals = derivative_free.PixelResiduals()  # a model for each pixel
    >>> learned = derivative_free.dynamic_accuracy(problem, alpha, 20, lower.Newton(20), residuals)
    >>> print(f"{learned.params[0]:.1f}")
    -1.0
    """
    require_problem(problem)
    problem.require_start(params0)
    require_positive("eta", eta)
    require_positive("model_accuracy", model_accuracy)
    if eta > min(ETA1, 1 - ETA2) / 2:
        raise ValueError(
            f"eta is {eta}, expected at most {min(ETA1, 1 - ETA2) / 2}: decisions with less "
            "accurate values may be wrong; use fixed_accuracy to see what happens then."
        )
    return learn(problem, params0, maxeval, Restarted() if solver is None else solver, residuals,
                 DynamicAccuracy(eta, model_accuracy), (radius, largest_radius, smallest_radius),
                 run, max(8, len(params0) + 1))  # fmt: skip


def learn(problem, params0, maxeval, solver, residuals, accuracy, radii, run, memory=8):
    """Run Algorithm 1 with an accuracy rule; see `dynamic_accuracy` and `fixed_accuracy`."""
    require_problem(problem)
    problem.require_start(params0)
    require_method("residuals", residuals, "PixelResiduals()")
    require_one_process(run, "derivative-free learning")
    require_count("maxeval", maxeval, len(params0) + 1)
    for name, value in zip(("radius", "largest_radius", "smallest_radius"), radii, strict=True):
        require_positive(name, value)
    box = Box(problem, params0)
    setting = setting_of(problem, params0) | vars(accuracy) | {
        "method": type(accuracy).__name__, "solver": described(solver),
        "radii": torch.tensor(radii, dtype=torch.float64), "residuals": described(residuals),
        "memory": memory}  # fmt: skip
    with Journal(setting, run) as rows:
        evaluations = Evaluations(problem, box, solver, residuals, rows, maxeval, memory)
        search = TrustRegion(evaluations, box, accuracy, radii)
        try:
            search.run(box.scaled(params0))
            reason = "radius"
        except BudgetError:
            reason = "maxeval"
        best = search.best
        return rows.learned(box.params(best.z), best.value, best.value_bound, reason)
