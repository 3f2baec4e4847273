r"""The step of a trust-region method: quadratics and models on the intersection of ball and box.

.. math:: \min_s g^T s + \tfrac12 s^T H s \quad\text{subject to}\quad |s| \le \Delta,\
          a \le s \le b, \qquad a \le 0 \le b .

With the multiplier ``lambda >= 0`` of the ball, ``s(lambda)`` minimizes the quadratic with
``H + lambda I`` in the box, and ``|s(lambda)|`` does not increase with ``lambda``; so the right one
is found by a bracketed secant method (the idea of More and Sorensen 1983 without boxes). Quadratics
in boxes are minimized by projected Newton steps (Bertsekas 1982). Made for up to about a hundred
variables: matrices are dense.
"""

import math

import numpy as np


def ball_box_step(gradient, hessian, radius, lower, upper):
    r"""Minimize a quadratic in a ball and a box.

    Parameters
    ----------
    gradient : array ``(n,)``
        ``g``.
    hessian : array ``(n, n)``
        ``H``, symmetric.
    radius : float
        ``Delta > 0``.
    lower, upper : array ``(n,)``
        ``a <= 0 <= b``.

    Returns
    -------
    s : array ``(n,)``
        The minimizer, if ``H`` is positive semidefinite. Otherwise a local one, found from the
        boundary of the ball in the direction of most negative curvature, and never worse than the
        Cauchy point of projected gradients.
    """
    n = len(gradient)
    curvatures, directions = np.linalg.eigh(hessian)
    size = float(np.abs(curvatures).max()) if n else 0.0
    slope = float(np.linalg.norm(gradient))
    # singular matrices, such as those of few residuals, are shifted by what no step notices
    shift = max(0.0, 1e-10 * max(size, slope / radius, 1e-300) - float(curvatures[0]))

    def minimizer(multiplier, start):
        matrix = hessian + multiplier * np.eye(n)
        return convex_box_step(gradient, matrix, lower, upper, start)

    s = _on_the_sphere(minimizer, shift, shift + slope / radius, radius, np.zeros(n))
    if curvatures[0] >= -1e-14 * size:
        return s
    # s'(H + lambda) s + g's <= 0 is all that the multiplier gives where H is indefinite: go to the
    # boundary along the direction of most negative curvature, then downhill as far as it goes.
    step = directions[:, 0]
    starts = [s, np.zeros(n)]
    starts += [_shrunk(np.clip(s + t * step, lower, upper), radius) for t in (radius, -radius)]
    steps = [_descend(gradient, hessian, radius, lower, upper, x, size) for x in starts]
    return min(steps, key=lambda x: gradient @ x + x @ hessian @ x / 2)


def convex_box_step(gradient, hessian, lower, upper, start, maxiter=200):
    r"""Minimize ``g^T s + s^T H s / 2`` in a box, for a positive definite ``H``.

    Parameters
    ----------
    gradient, hessian : arrays ``(n,)`` and ``(n, n)``
    lower, upper, start : arrays ``(n,)``
    maxiter : int, optional

    Returns
    -------
    s : array ``(n,)``
    """
    s, size = np.clip(start, lower, upper), np.linalg.norm(hessian, 2)
    scale = 1e-14 * (np.abs(gradient).max(initial=0.0) + 1e-300)
    for _ in range(maxiter):
        slope = gradient + hessian @ s
        held = ((s <= lower) & (slope > 0)) | ((s >= upper) & (slope < 0))
        free = np.flatnonzero(~held)
        rounding = scale + 1e-15 * (np.abs(hessian) @ np.abs(s)).max(initial=0.0)
        if not len(free) or np.abs(slope[free]).max() <= rounding:
            break
        step = np.zeros_like(s)
        step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], slope[free])
        moved = _project_search(slope, hessian, lower, upper, s, step)
        if moved is None:  # bounds hold what Newton's step needs: release them downhill
            moved = _project_search(slope, hessian, lower, upper, s, -slope / size)
        if moved is None:
            break
        s = moved
    return s


def model_step(residuals, jacobian, radius, lower, upper, penalty, expansion, maxiter=30):
    r"""Minimize a Gauss-Newton model and an exact penalty in a ball and a box.

    .. math:: \min_s m(s) = |r + J s|^2 + p(s), \qquad |s| \le \Delta,\ a \le s \le b .

    The penalty is used as it is: quadratics around the last ``s`` are minimized, with a line search
    (Newton's method on ``m``), since penalties such as squared condition numbers are exponential in
    the parameters and second-order expansions of them are of no use far away.

    Parameters
    ----------
    residuals : array ``(m,)``
    jacobian : array ``(m, n)``
    radius : float
    lower, upper : arrays ``(n,)``
        ``a <= 0 <= b``.
    penalty : callable
        ``s -> p(s)``.
    expansion : callable
        ``s -> (gradient (n,), Hessian (n, n))`` of the penalty.
    maxiter : int, optional

    Returns
    -------
    s : array ``(n,)``
    decrease : float
        ``m(0) - m(s) >= 0``.
    """

    def decrease_at(s, value):
        change = jacobian @ s
        return start - value - float(change @ (2 * residuals + change))

    curvature = 2 * jacobian.T @ jacobian
    s, decrease = np.zeros(jacobian.shape[1]), 0.0
    start = penalty(s)
    for _ in range(maxiter):
        slope, bend = expansion(s)
        gradient = 2 * jacobian.T @ (residuals + jacobian @ s) + slope
        hessian = curvature + bend
        # in the variable s itself, so that the ball stays centered at zero
        target = ball_box_step(gradient - hessian @ s, hessian, radius, lower, upper)
        expected, t = -float(gradient @ (target - s)), 1.0
        if expected <= 1e-14 * max(decrease, 1e-300):
            break
        while t > 1e-12:
            trial = s + t * (target - s)
            reached = decrease_at(trial, penalty(trial))
            if reached >= decrease + 1e-4 * t * expected:
                break
            t /= 2
        else:
            break
        gained = reached - decrease
        s, decrease = trial, reached
        if gained <= 1e-9 * decrease:
            break
    return s, decrease


def criticality(gradient, lower, upper):
    """Return ``|P(-g)|`` with the projection onto the box of steps, zero at critical points."""
    return float(np.linalg.norm(np.clip(-gradient, lower, upper)))


def _on_the_sphere(minimizer, least, most, radius, start):
    """Return ``s(lambda)`` inside of the ball with the least multiplier."""
    s = minimizer(least, start)
    length = np.linalg.norm(s)
    if length <= radius:
        return s
    low, high, inside = least, most, None
    low_value = 1 / length - 1 / radius
    high_value = None
    for _ in range(100):
        if high_value is None:
            trial = high
        else:  # 1 / |s(lambda)| is nearly linear; stay away from the ends of the bracket
            trial = low - low_value * (high - low) / (high_value - low_value)
            margin = 0.01 * (high - low)
            trial = min(max(trial, low + margin), high - margin)
        s = minimizer(trial, s)
        length = float(np.linalg.norm(s))
        value = (1 / length if length else math.inf) - 1 / radius
        if value >= 0:
            high, high_value, inside = trial, min(value, 1e300), s
            if length >= radius * (1 - 1e-9):
                break
        else:
            low, low_value = trial, value
            if high_value is None:
                high *= 2
        if high - low <= 1e-15 * high:
            break
    return _shrunk(s, radius) if inside is None else inside


def _project_search(slope, hessian, lower, upper, s, step):
    """Backtrack along the projection of ``s + t step`` onto the box; None where nothing helps."""
    moving = step != 0
    ends = (np.where(step > 0, upper, lower) - s)[moving] / step[moving]  # all meet bounds here
    t, first = min(1.0, ends.max(initial=0.0)), ends[ends > 0].min(initial=1.0)
    while t > 0.1 * first:  # below the first bound the path is straight
        trial = np.clip(s + t * step, lower, upper)
        change = trial - s
        gain = -(slope @ change + change @ hessian @ change / 2)
        if gain > 0 and gain >= -1e-4 * (slope @ change):
            return trial
        t /= 2
    return None


def _descend(gradient, hessian, radius, lower, upper, s, size):
    """Projected gradients on ball and box, with Dykstra's projection, from ``s`` downhill."""
    value = gradient @ s + s @ hessian @ s / 2
    for _ in range(500):
        slope = gradient + hessian @ s
        t = 1 / size
        trial = _project(s - t * slope, radius, lower, upper)
        new = gradient @ trial + trial @ hessian @ trial / 2
        if not new < value - 1e-14 * abs(value):
            break
        s, value = trial, new
    return s


def _project(x, radius, lower, upper):
    """The nearest point of ball and box: ``clip(x / (1 + lambda))`` for the right multiplier."""
    s = np.clip(x, lower, upper)
    if np.linalg.norm(s) <= radius:
        return s
    low, high = 0.0, np.linalg.norm(x) / radius
    for _ in range(100):
        middle = (low + high) / 2
        s = np.clip(x / (1 + middle), lower, upper)
        low, high = (middle, high) if np.linalg.norm(s) > radius else (low, middle)
    return np.clip(x / (1 + high), lower, upper)


def _shrunk(s, radius):
    length = np.linalg.norm(s)
    return s if length <= radius else s * (radius / length)
