r"""An upper bound of the norm of an operator, by bidiagonalization from a random start.

Golub and Kahan's recurrence ``A v_k = a_k u_k + b_(k-1) u_(k-1)``, ``A* u_k = a_k v_k + b_k
v_(k+1)`` is Lanczos' method for ``B = A* A``: ``v_(k+1) = p_k(B) v_1`` with the polynomial

.. math:: p_k(x) = \prod_{i \le k} \frac{x - \theta_i}{a_i b_i},

whose zeros are the eigenvalues of the tridiagonal matrix of ``B`` in the basis ``v_1, ..., v_k``.
Let ``w`` be a unit eigenvector of the largest eigenvalue ``x = |A|^2``. Then

.. math:: |p_k(|A|^2)| \, |\langle w, v_1 \rangle| = |\langle w, v_{k+1} \rangle| \le 1 .

Above its largest zero ``p_k`` grows. So where ``|<w, v_1>| >= c``, the norm is at most ``x^(1/2)``
with ``p_k(x) = 1 / c``, for all ``k`` at once: one may stop by what has been seen. A vector that is
uniform on the sphere of a real space of dimension ``n`` has ``P(|<w, v_1>| < c) <= c sqrt(2 n /
pi)``, since the density of a component is at most ``Gamma(n/2) / (sqrt(pi) Gamma((n-1)/2)) <=
sqrt((n - 1) / (2 pi))`` for ``n >= 3``. Complex spaces are real ones of twice the dimension.

How many steps this needs at most is the theorem of Kuczynski and Wozniakowski: after ``k`` steps
the largest eigenvalue of the tridiagonal matrix misses that of ``B`` by more than a fraction
``eps`` with a probability of at most ``1.648 sqrt(n) exp(-sqrt(eps) (2 k - 1))``, whatever ``B``.

Rounding adds a vector of a size near the machine precision to each step of the recurrence. Its
part along ``w`` counts as much as ``<w, v_1>`` does, and is a random one of about the machine
precision over ``sqrt(n)``: it matters only for probabilities near the machine precision. That the
vectors lose their orthogonality does not matter, since the recurrence alone was used.
"""

import math
import warnings

import numpy as np
import odl
from scipy.linalg import eigvalsh_tridiagonal

from odl_learned.operators.norms.random_elements import uniform_direction
from odl_learned.weights import component_weights, entry_weights


def probable_bound(op: odl.Operator, adjoint: odl.Operator, rng: np.random.Generator, rtol: float,
                   risk: float, maxiter: int) -> float:  # fmt: skip
    """Return an upper bound of the norm that fails with at most the given probability.

    Parameters
    ----------
    op, adjoint : linear odl.Operator
    rng : numpy.random.Generator
    rtol : float
        Stop as soon as the bound is larger than a lower one by at most this fraction.
    risk : float
        The probability.
    maxiter : int
        Largest number of applications of both; a warning says when it was reached.

    Returns
    -------
    bound : float
    """
    _require_inner_products(op.range)
    if isinstance(op.domain, odl.core.set.Field):
        return _norm(op.range, op(1.0))
    v, dimension = uniform_direction(op.domain, rng), _dimension(op.domain)
    log_chance = math.log(risk) + 0.5 * math.log(math.pi / (2 * dimension))
    rounding = 1 + 4 * max(_precision(op.domain), _precision(op.range))
    a, b, checked, u = [], [], 0, None
    for k in range(1, maxiter + 1):
        u = op(v) if u is None else op(v) - b[-1] * u
        a.append(_norm(op.range, u))
        b.append(0.0)
        if a[-1] > 0:
            u = float(1 / a[-1]) * u
            image = adjoint(u)
            if k == 1:
                _compare(a[0], float(np.real(image.inner(v))))
            image = image - a[-1] * v
            b[-1] = _norm(op.domain, image)
        _require_finite(a[-1], b[-1])
        # Few checks of many steps: each of them costs k^2 operations.
        if b[-1] == 0 or k >= checked + max(1, k // 16) or k == maxiter:
            checked = k
            lower, upper = _bounds(np.array(a), np.array(b), log_chance)
            if upper <= (1 + rtol) * lower:
                break
        v = float(1 / b[-1]) * image
    else:
        warnings.warn(
            f"operator_norm stopped after {maxiter} iterations between {lower:.6g} and {upper:.6g},"
            f" expected bounds that differ by at most {rtol:.1e}; it returns the upper one, a safe "
            "one. For a closer one pass a larger maxiter.",
            RuntimeWarning,
            stacklevel=3,
        )
    return upper * rounding


def _bounds(a, b, log_chance):
    """Lower and probable upper bound of the norm, from the coefficients of the recurrence."""
    unit = a[0]
    if unit == 0:
        return 0.0, 0.0
    a, b = a / unit, b / unit
    squares = a**2
    squares[1:] += b[:-1] ** 2
    zeros = eigvalsh_tridiagonal(squares, a[:-1] * b[:-1]) if len(a) > 1 else squares
    largest = float(zeros[-1])
    if a[-1] == 0 or b[-1] == 0:
        # An invariant space: B has no eigenvalue in v_1 but those of the tridiagonal matrix.
        return unit * math.sqrt(largest), unit * math.sqrt(largest)
    # log p_k(largest + t) = sum_i log(t + gap_i) - log_product grows with log t.
    gaps, target = largest - zeros, float(np.log(a).sum() + np.log(b).sum()) - log_chance
    low, high = math.log(largest) - 40, max(target / len(a), math.log(largest) - 40)
    for _ in range(60):
        middle = (low + high) / 2
        if np.log(gaps + math.exp(middle)).sum() < target:
            low = middle
        else:
            high = middle
    return unit * math.sqrt(largest), unit * math.sqrt(largest + math.exp(high))


def _compare(norm, inner):
    """Warn if ``<A* A v, v> = |A v|^2`` is far from true."""
    if not abs(inner - norm) <= 0.05 * norm:
        warnings.warn(
            f"op.adjoint is not the adjoint of op: <A* A v, v> is {inner / norm:.3g} times |A v|^2,"
            " expected once. The norm is that of an operator with this adjoint at best; find the "
            "difference with conformance.check_adjoint(op, rng).",
            RuntimeWarning,
            stacklevel=4,
        )


def _norm(space, x):
    """The norm, also where squares overflow or underflow in single precision."""
    if isinstance(space, odl.core.set.Field):
        return abs(x)
    with np.errstate(over="ignore"):
        norm = float(x.norm())
    if 0 < norm < math.inf:
        return norm
    largest = _largest(x)
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * float((float(1 / largest) * x).norm())


def _largest(x):
    """The largest magnitude of an entry."""
    if isinstance(x.space, odl.ProductSpace):
        return max(map(_largest, x))
    return float(np.abs(x.data).max(initial=0))


def _require_inner_products(space):
    if isinstance(space, odl.ProductSpace):
        component_weights(space)
        for part in space:
            _require_inner_products(part)
    elif not isinstance(space, odl.core.set.Field):
        entry_weights(space)


def _dimension(space):
    """The dimension over the real numbers."""
    if isinstance(space, odl.ProductSpace):
        return sum(map(_dimension, space))
    return math.prod(space.shape) * (2 if space.is_complex else 1)


def _precision(space):
    """Distance of one to the next number."""
    if isinstance(space, odl.ProductSpace):
        return max(map(_precision, space))
    return float(np.finfo(getattr(space, "dtype", np.float64)).eps)


def _require_finite(*values):
    if not all(map(math.isfinite, values)):
        raise ValueError(
            "op or its adjoint yields values that are not finite; apply both to random "
            "elements and look for NaN."
        )
