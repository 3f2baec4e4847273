r"""Plug and play by reflected steps: Douglas-Rachford, and the alternating direction method.

With ``F = prox_{tau f}`` and ``D = prox_{tau g}`` one of them iterates

    z_{k+1} = z_k + D(2 F(z_k) - z_k) - F(z_k),      u = D(2 F(z_k) - z_k),

the other one the same with F and D exchanged, and ``u = D(z_k)``. The latter is ADMM: with
``v = D(z)``, its multiplier ``w = z - v`` and ``x = F(v - w)`` it has ``z_{k+1} = x + w``. If both
proximals are firmly nonexpansive, so are these maps, and their iterates converge.
"""

from collections.abc import Callable

from odl_learned.reconstruction.plug_and_play.answers import Answer
from odl_learned.reconstruction.plug_and_play.forward_backward import Steps, guarantee_of_proximals
from odl_learned.reconstruction.plug_and_play.iteration import iterate, require_parts
from odl_learned.reconstruction.plug_and_play.stopping import Below
from odl_learned.solvers import Discrepancy
from odl_learned.solvers.arithmetic.samples import samples_of
from odl_learned.solvers.checks import per_sample
from odl_learned.solvers.types import Image, Numbers, Proximable


def douglas_rachford(
    f: Proximable[Image],
    g: Proximable[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    tau: Numbers,
    until: Below | Discrepancy | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Answer[Image]:
    r"""Iterate reflections of the data term and a denoiser.

    .. math:: x_k = \text{prox}_{\tau f}(z_k), \qquad u_k = \text{prox}_{\tau g}(2 x_k - z_k),
              \qquad z_{k+1} = z_k + u_k - x_k

    With a firmly nonexpansive denoiser and a convex f it converges, for every step, if there is a
    fixed point; the answer is ``u_k``, and the residual ``|u_k - x_k|``.

    Parameters
    ----------
    f : functional
        The data term, with ``f.proximal(tau)(x)``, such as `functionals.LeastSquares`.
    g, x0, accuracy, maxiter, until, callback
        As for `proximal_gradient`; the first state is ``z_0 = x0``.
    tau : float or array (B,)
        Step, positive.

    Returns
    -------
    answer : Answer

    Raises
    ------
    DivergenceError, TypeError, ValueError
        As for `proximal_gradient`.

    Source: Lions, Mercier, Splitting algorithms for the sum of two nonlinear operators (1979).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> from odl_learned.reconstruction import plug_and_play
    >>> X = odl.rn(2)
    >>> f = functionals.LeastSquares(odl.IdentityOperator(X), X.element([3, 0.5]))
    >>> g = odl.functionals.L1Norm(X)  # a proximal is a denoiser
    >>> for method in (plug_and_play.douglas_rachford, plug_and_play.half_quadratic):
    ...     answer = method(f, g, X.zero(), accuracy=1e-10, maxiter=200, tau=1.0)
    ...     print(answer.x, answer.reason)
    ...
    [2., 0.] accuracy
    [1., 0.] accuracy
    >>> isinstance(answer, plug_and_play.Answer)
    True
    >>> print(answer.guarantee)
    converges to a fixed point, if there is one: g is convex; f is convex
    """
    return _solve("douglas_rachford", _DataFirst, f, g, x0, accuracy, maxiter, tau, until, callback)


def admm(
    f: Proximable[Image],
    g: Proximable[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    tau: Numbers,
    until: Below | Discrepancy | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Answer[Image]:
    r"""Iterate the alternating direction method of multipliers with a denoiser.

    .. math:: u_k = \text{prox}_{\tau g}(x_k + w_k), \qquad w_{k+1} = w_k + x_k - u_k, \qquad
              x_{k+1} = \text{prox}_{\tau f}(u_k - w_{k+1})

    It is Douglas and Rachford's method for the exchanged pair, and converges with it; the answer
    is ``u_k``, the residual ``|x_{k+1} - u_k|``.

    Parameters
    ----------
    f, g, accuracy, maxiter, tau, until, callback
        As for `douglas_rachford`.
    x0 : element or batch
        ``x_0``; the multiplier begins with zero.

    Returns
    -------
    answer : Answer

    Raises
    ------
    DivergenceError, TypeError, ValueError
        As for `proximal_gradient`.

    Source: Venkatakrishnan, Bouman, Wohlberg, Plug-and-play priors for model based reconstruction
    (2013); Eckstein, Bertsekas, On the Douglas-Rachford splitting method (1992).
    """
    return _solve("admm", _DenoiserFirst, f, g, x0, accuracy, maxiter, tau, until, callback)


def _solve(name, kind, f, g, x0, accuracy, maxiter, tau, until, callback):
    require_parts(name, f, "proximal", g, until)
    tau = per_sample("tau", tau, samples_of(x0, getattr(g, "domain", None)))
    return iterate(name, kind(f, g, tau), x0, accuracy, maxiter, until, callback,
                   guarantee_of_proximals(f, g))  # fmt: skip


class _DataFirst(Steps):
    def __call__(self, z):
        samples, tau = self.number(z)
        x = self.f.proximal(tau)(z)
        u = self.g.proximal(tau)(samples.extrapolate(x, 1.0, z))
        return samples.add(z, 1.0, samples.add(u, -1.0, x)), u


class _DenoiserFirst(Steps):
    def __call__(self, z):
        samples, tau = self.number(z)
        u = self.g.proximal(tau)(z)
        x = self.f.proximal(tau)(samples.extrapolate(u, 1.0, z))
        return samples.add(z, 1.0, samples.add(x, -1.0, u)), u
