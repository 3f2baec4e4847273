"""Proximal gradient descent, plain and accelerated, for one element or a batch."""

from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.samples import Batch, Element
from odl_learned.solvers.discrepancy import Discrepancy
from odl_learned.solvers.nonsmooth.forward_backward import Backtracking, ForwardBackward
from odl_learned.solvers.solution import Solution
from odl_learned.solvers.types import Image, Numbers, Proximable, Smooth


def proximal_gradient(
    f: Smooth[Image],
    g: Proximable[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    lipschitz: Numbers | Backtracking | None = None,
    strong_convexity: Numbers | None = None,
    g_strong_convexity: Numbers | None = None,
    gap: Callable[[Image], Numbers] | None = None,
    discrepancy: Discrepancy | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Minimize the sum of a smooth functional and one with a proximal.

    .. math:: x_{k+1} = \text{prox}_{\tau g} \big( x_k - \tau \nabla f(x_k) \big),
              \qquad \tau = 1 / L .

    Converges linearly if ``f + g`` is strongly convex, otherwise the objective does at the rate
    ``1 / k``. `fista` takes fewer iterations.

    Parameters
    ----------
    f : functional
        Convex, with ``f.gradient(x)``; to search for the step also ``f(x)``.
    g : functional
        Convex, with ``g.proximal(tau)(x)``.
    x0 : ODL element, or batch of shape ``(B, ...)``
        Starting point, not changed. In a batch every sample stops for itself.
    accuracy : float, array of shape (B,), or None
        With `gap`: of the objective. Otherwise: of the distance to the minimizer, in the norm of
        the space, which needs strong convexity. None: take `maxiter` steps, or stop by
        `discrepancy`.
    maxiter : int
        Largest number of iterations, at least one.
    lipschitz : float, array (B,) or Backtracking, optional
        Lipschitz constant ``L`` of the gradient. Default: ``f.grad_lipschitz`` where it is known,
        otherwise ``Backtracking()``.
    strong_convexity, g_strong_convexity : float or array (B,), optional
        Constants ``mu_f`` and ``mu_g`` of strong convexity. Default: those that ``f`` and ``g``
        declare, otherwise zero.
    gap : callable, optional
        ``gap(x)`` bounds the distance of the objective to its minimum, one number per sample (of
        the running ones: ``gap.take(index)`` is used where it exists). Asked every tenth iteration.
    discrepancy : Discrepancy, optional
        Stop as soon as the residual is down to the noise.
    callback : callable, optional
        Called with the iterate after each iteration (of all samples, whether they run or not).

    Returns
    -------
    solution : Solution
        ``error_bound`` is valid for every reason to stop, up to the rounding of gradients; it is
        None without strong convexity. ``gap`` is the last one if there is a `gap`.

    Raises
    ------
    DivergenceError
        If a constant or the gradient is proved wrong, by the first ten steps and every tenth later
        one, or values are not finite.
    TypeError
        If a gradient or proximal is missing, or the starting point is not in the domain.
    ValueError
        If a number is out of bounds, or `accuracy` cannot be certified.

    References
    ----------
    Chambolle, A. and Pock, T. An introduction to continuous optimization for imaging. Acta Numerica
    25 (2016), algorithm 3 (4.22).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> f, box = functionals.l2_fidelity(4 * X.one()), functionals.BoxConstraint(X, 0, 1)
    >>> solution = solvers.proximal_gradient(f, box, X.zero(), 1e-6, 100, 1.0, 1.0)
    >>> print(solution.x.data.max(), solution.reason)
    1.0 accuracy
    """
    convexity = strong_convexity, g_strong_convexity
    run = ForwardBackward("proximal_gradient", f, g, x0, accuracy, maxiter, lipschitz, convexity,
                          gap, discrepancy, callback)  # fmt: skip
    return run.solve(None)


def fista(
    f: Smooth[Image],
    g: Proximable[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    lipschitz: Numbers | Backtracking | None = None,
    strong_convexity: Numbers | None = None,
    g_strong_convexity: Numbers | None = None,
    gap: Callable[[Image], Numbers] | None = None,
    discrepancy: Discrepancy | None = None,
    restart: Callable[[Element | Batch, Image, Image, Image], np.ndarray] | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Minimize the sum of a smooth functional and one with a proximal, with acceleration.

    .. math:: y_k = x_k + \beta_k (x_k - x_{k-1}), \qquad
              x_{k+1} = \text{prox}_{\tau g} \big( y_k - \tau \nabla f(y_k) \big),

    with the momentum of Chambolle and Pock's algorithm 5, which knows the strong convexity of both
    functionals, and starts anew where `restart` says so. The objective converges at the rate
    ``1 / k^2``, and like ``(1 - sqrt(mu / L))^k`` for ``mu = mu_f + mu_g > 0``.

    Parameters
    ----------
    f, g, x0, accuracy, maxiter, lipschitz, strong_convexity, g_strong_convexity, gap, discrepancy
        As for `proximal_gradient`.
    restart : callable, optional
        ``restart(samples, y, x_next, x)`` tells for every sample whether to forget the momentum.
        Default: `gradient_restart`; `no_restart` never does.
    callback : callable, optional
        As for `proximal_gradient`.

    Returns
    -------
    solution : Solution
        As for `proximal_gradient`.

    Raises
    ------
    DivergenceError, TypeError, ValueError
        As `proximal_gradient`.

    References
    ----------
    Beck, A. and Teboulle, M. A fast iterative shrinkage-thresholding algorithm for linear inverse
    problems. SIAM J. Imaging Sci. 2 (2009). Chambolle, A. and Pock, T. An introduction to
    continuous optimization for imaging. Acta Numerica 25 (2016), algorithm 5.
    """
    convexity = strong_convexity, g_strong_convexity
    run = ForwardBackward("fista", f, g, x0, accuracy, maxiter, lipschitz, convexity, gap,
                          discrepancy, callback)  # fmt: skip
    return run.solve(gradient_restart if restart is None else restart)


def gradient_restart(samples: Element | Batch, y: Image, x_next: Image, x: Image) -> np.ndarray:
    r"""Restart where the last step points uphill: :math:`\langle y - x_+, x_+ - x \rangle > 0`.

    References
    ----------
    O'Donoghue, B. and Candes, E. Adaptive restart for accelerated gradient schemes. Found. Comput.
    Math. 15 (2015), section 3.2.
    """
    back, step = samples.difference(y, x_next), samples.difference(x_next, x)
    return samples.inner(back, step) > 0


def no_restart(samples: Element | Batch, y: Image, x_next: Image, x: Image) -> np.ndarray:
    """Never restart.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> f = functionals.l2_fidelity(4 * X.one())
    >>> box = functionals.BoxConstraint(X, 0, 1)
    >>> for rule in (solvers.no_restart, solvers.gradient_restart):
    ...     solution = solvers.fista(f, box, X.zero(), 1e-6, 100, 1.0, 1.0, restart=rule)
    ...     print(solution.reason)
    ...
    accuracy
    accuracy
    """
    return np.zeros(samples.size, dtype=bool)
