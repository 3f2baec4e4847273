"""Newton's method that follows a dual variable, with full steps."""

import numpy as np

from odl_learned.energies.fixed_energy import take
from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.conjugate_gradient import TRIALS, iterate

INNER = 500
PATIENCE = 30


def dual_newton(f, x0, accuracy, maxiter):
    r"""Minimize by full steps with the Hessians of ``f.linearize_from``.

    .. math:: |H_k d_k + \nabla E(x_k)| \le \eta_k |\nabla E(x_k)|, \qquad x_{k+1} = x_k + d_k,

    until ``|grad E| / mu <= accuracy``. ``H_k`` depends on a dual variable that is updated with
    every step, and stays positive definite. Gradients may grow for some steps; a sample gives up if
    its smallest one is 30 steps old. For smoothed total variation the number of steps, 10 to 30,
    hardly depends on the smoothing.

    Parameters
    ----------
    f : FixedEnergy
    x0 : tensor ``(B, *shape)``
    accuracy : array ``(B,)``
    maxiter : int

    Returns
    -------
    solution : Solution
        ``reason`` is ``"accuracy"`` or ``"maxiter"``; ``error_bound`` is valid for both.

    References
    ----------
    T. F. Chan, G. H. Golub, P. Mulet, *A nonlinear primal-dual method for total variation-based
    image restoration*, SIAM J. Sci. Comput. 20 (1999); M. Hintermüller, G. Stadler, *An infeasible
    primal-dual algorithm for total bounded variation-based inf-convolution-type image restoration*,
    SIAM J. Sci. Comput. 28 (2006), for the projection.
    """
    samples, mu = samples_of(x0), f.strong_convexity
    active, x, state = Active(samples, x0), x0, None
    accuracy = np.array(np.broadcast_to(accuracy, (samples.size,)))
    forcing = np.full(samples.size, 0.1)
    best, age, previous = (np.full(samples.size, v) for v in (np.inf, 0, np.inf))
    for niter in range(maxiter + 1):
        linear, state = f.linearize_from(x, state)
        gradient = linear.gradient
        size = samples.norm(gradient)
        age = np.where(size < best, 0, age + 1)
        best = np.fmin(best, size)
        done = size <= mu * accuracy
        over = done | (age > PATIENCE) | ~np.isfinite(size) | (niter == maxiter)
        model = _Model(f, x, state, linear)
        if over.any():
            bound = np.where(np.isfinite(size), size, np.inf) / mu
            rest = active.finish(over, x, niter, np.where(done, "accuracy", "maxiter"), bound)
            if not rest.size:
                break
            model, f, state = model.take(rest), restricted(f, rest), take(state, rest)
            x, gradient, samples = x[rest], gradient[rest], samples.subset(rest)
            size, best, age, previous, accuracy, forcing = (
                v[rest] for v in (size, best, age, previous, accuracy, forcing))
        forcing = np.minimum(0.1, 0.9 * (size / previous) ** 2) if niter else forcing
        target = np.maximum(forcing * size, 0.5 * mu * accuracy)
        target = np.minimum(target, 0.5 * size)
        limit = np.full(samples.size, INNER)
        # The first Hessian is tried, later ones come from the same function.
        right = model.coordinates(samples.scale(-1.0, gradient))
        step, _, _ = iterate(model, samples.scale(0.0, right), right, target, limit, samples, None,
                             "dual_newton", trials=0 if niter else TRIALS)  # fmt: skip
        x, previous = x + model.images(step), size
    return active.solution()


class _Model:
    """The system of the running samples; it is built again when fewer than half are left.

    In the coordinates of the `Frame` of the linearization, where it has one.
    """

    mu = None

    def __init__(self, f, x, state, linear, position=None):
        self._parts, self._linear, self._position = (f, x, state), linear, position

    def product(self, v):
        """``H v``."""
        return self._apply((self._linear.frame or self._linear).hessian, v)

    def precondition(self, v):
        """``M^-1 v``."""
        return self._apply((self._linear.frame or self._linear).precondition, v)

    def coordinates(self, v):
        """``U v``."""
        return v if self._linear.frame is None else self._linear.frame.forward(v)

    def images(self, v):
        """``U^* v``."""
        return v if self._linear.frame is None else self._linear.frame.adjoint(v)

    def take(self, index):
        """The system of some of its samples."""
        f, x, state = self._parts
        position = index if self._position is None else self._position[index]
        if 2 * len(position) > len(x):
            return _Model(f, x, state, self._linear, position)
        f, x, state = restricted(f, position), x[position], take(state, position)
        linear, state = f.linearize_from(x, state)
        return _Model(f, x, state, linear)

    def _apply(self, operator, v):
        if self._position is None:
            return operator(v)
        whole = v.new_zeros(self._parts[1].shape)
        whole[self._position] = v
        return operator(whole)[self._position]
