"""What solvers ask of their arguments, for elements and for batches alike."""

import math

import numpy as np

from odl_learned.solvers.arithmetic.row_sums import on_host
from odl_learned.solvers.arithmetic.samples import Element, numbers_of
from odl_learned.solvers.solution import DivergenceError
from odl_learned.validation import is_finite_number, require_positive, shown


def require_start(name, x, samples, space, owner):
    """Raise unless ``x`` belongs to the space (where it knows) and is finite.

    Parameters
    ----------
    name : str
    x : element or batch
    samples : Element or Batch
    space : object or None
    owner : str
        How to write the space in code, such as ``"f.domain"``.
    """
    if hasattr(type(space), "__contains__") and x not in space:
        obj, side = owner.split(".")
        cure = f"pass {owner}.element(array). For a batch of tensors pass bridge.as_batch({obj})."
        if not hasattr(space, "element"):
            cure = "check shape and dtype, and the number of samples."
        raise TypeError(f"{name} is not an element of the {side} of {obj}, {space!r}; {cure}")
    if isinstance(samples, Element) and (isinstance(x, type) or not hasattr(x, "norm")):
        raise TypeError(
            f"{name} is {shown(x)}; expected an element of {owner}, or for batches an array or "
            "tensor with a first axis of samples."
        )
    bad = ~np.isfinite(samples.norm(x))
    if bad.any():
        raise ValueError(
            f"{name} contains NaN or infinite values{_of(samples, bad)}; expected finite numbers "
            "only. Find them with numpy.isfinite and mask or replace them first."
        )


def require_forward_operator(forward_op):
    """Raise TypeError unless this is a linear operator with an adjoint, of ODL or of batches."""
    if not getattr(forward_op, "is_linear", True):
        raise TypeError(
            f"forward_op is {forward_op!r}; expected a linear operator. Linearize it with "
            "forward_op.derivative(x)."
        )
    is_operator = callable(forward_op) and hasattr(forward_op, "adjoint")
    if isinstance(forward_op, type) or not is_operator:
        raise TypeError(
            f"forward_op is {shown(forward_op)}; expected an operator with an adjoint: the ODL "
            "operator itself for elements, bridge.as_batch(operator) for tensors."
        )


def per_sample(name, value, samples, hint=""):
    """Return positive finite numbers, one or one per sample, as an array of shape ``(size,)``.

    Raises
    ------
    ValueError
        If they are not positive and finite, or not as many as there are samples.
    """
    if isinstance(samples, Element) or value is None or is_finite_number(value):
        if not (is_finite_number(value) and value > 0):
            raise ValueError(
                f"{name} is {value!r}; expected a finite number greater than zero{hint}.")
        return np.full(samples.size, float(value))
    values = on_host(value)
    values = np.asarray(value if values is None else values, dtype=float)
    if values.shape not in ((), (samples.size,)):
        raise ValueError(
            f"{name} has shape {values.shape}, expected one number or ({samples.size},), one per "
            "sample."
        )
    values = np.array(np.broadcast_to(values, (samples.size,)))
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise ValueError(
            f"{name} is {values[bad][0]}{_of(samples, bad)}; expected finite numbers greater than "
            f"zero{hint}."
        )
    return values


def known_constant(name, given, known, samples):
    """Return the given constant, or the one that the functional knows, per sample."""
    if given is not None:
        if isinstance(samples, Element):
            require_positive(name, given)
        return per_sample(name, given, samples)
    values = np.asarray(math.nan if known is None else known, dtype=float)
    if not (np.all(np.isfinite(values)) and np.all(values > 0)):
        raise ValueError(
            f"{name} of the functional is {known}, expected a known positive number; pass "
            f"{name}=... (a bound that holds), or add xi / 2 |x|^2 for strong convexity."
        )
    return per_sample(name, values if values.ndim else float(values), samples)


def knows(obj, name):
    """Whether an object has this attribute, not a class of such; ODL raises where it has none."""
    if isinstance(obj, type):
        return False
    try:
        return getattr(obj, name, None) is not None
    except NotImplementedError:
        return False


def require_alike(name, value, x):
    """Raise TypeError unless the arrays of a batch have shape and precision of ``x``."""
    if isinstance(x, tuple):
        for a, b in zip(value, x, strict=True):
            require_alike(name, a, b)
        return
    if hasattr(x, "space") or not hasattr(x, "shape") or not hasattr(value, "shape"):
        return
    if value.shape != x.shape or value.dtype != x.dtype:
        raise TypeError(
            f"{name} has shape {tuple(value.shape)} and dtype {value.dtype}, expected "
            f"{tuple(x.shape)} and {x.dtype} as x0; convert x0 or the data behind it."
        )


# In a precision eps, gradients carry errors of about eps L |y|. Pairs further apart than 1e-4 |y|
# have differences that are right to 1e-3 in single precision, and the margins are twice that.
def require_constants(solver, active, samples, y, step, change, L, mu):
    """Raise DivergenceError if two gradients prove ``L`` or ``mu`` wrong.

    Differences of gradients are at most ``L |step|``, and ``<change, step> >= mu |step|^2``.
    """
    distance = samples.norm(step)
    far = distance > 1e-4 * samples.norm(y)
    if not far.any():
        return
    rate = samples.norm(change) / np.where(far, distance, 1)
    wrong = far & (rate > L * (1 + 2e-3))
    if wrong.any():
        k = np.argmax(wrong)
        raise DivergenceError(
            f"{solver} may diverge: lipschitz is {L[k]:.6g}, but gradients{active.name(wrong)} "
            f"changed by {rate[k]:.6g} times the distance of their points. Pass a larger lipschitz."
        )
    along = rate
    if not isinstance(samples, Element) or hasattr(step, "inner"):
        along = samples.inner(change, step) / np.where(far, distance, 1) ** 2
    wrong = far & (along + 2e-3 * np.where(np.isfinite(L), L, rate) < mu)
    if wrong.any():
        k = np.argmax(wrong)
        raise DivergenceError(
            f"{solver} has no certificate: strong_convexity is {mu[k]:.6g}, but gradients"
            f"{active.name(wrong)} changed by only {along[k]:.6g} times the distance of their "
            "points. Pass a smaller one, and check that the gradient is that of a convex "
            "functional."
        )


def require_adjoint(solver, active, forward, backward, size, noise, niter, name="forward_op"):
    r"""Raise DivergenceError where one pair of inner products proves an adjoint wrong.

    .. math:: \text{Re} \langle A x, y \rangle = \text{Re} \langle x, A^* y \rangle

    Iterations have ``A x`` and ``A* y`` anyway, so that this costs two inner products. Weights that
    were forgotten are a factor on one side.

    Parameters
    ----------
    solver : str
    active : Active
    forward, backward : numpy.ndarray of shape ``(size,)``
        Both sides.
    size : numpy.ndarray of shape ``(size,)``
        ``|A x| |y|``, of which a thousandth may be missing.
    noise : numpy.ndarray of shape ``(size,)``
        Rounding errors: for one side in single precision inside, about ``1e-5 |A| |x| |y|``.
    niter : int
    name : str, optional
        Of the operator ``A`` in code.
    """
    wrong = np.abs(forward - backward) > 1e-3 * size + noise
    if wrong.any():
        k = np.argmax(wrong)
        raise DivergenceError(
            f"{solver} has no certificate: <A x, y> is {forward[k]:.6g} but <x, A* y> is "
            f"{backward[k]:.6g}{active.name(wrong)}, at iteration {niter}, for A = {name}. Check "
            f"that {name}.adjoint is the adjoint in the inner products of domain and range, with "
            "their weights; conformance.operators.check_adjoint(A, rng) finds out."
        )


# Values carry rounding errors of about eps |f|, of 1e-7 |f| where an operator inside computes in
# single precision, and of eps |x| |grad f| where they are differences.
def require_gradient(solver, active, samples, f, x, slope, step, L=None):
    r"""Raise DivergenceError where values of a convex functional prove its gradient wrong.

    .. math:: \langle \nabla f(x), s \rangle \le f(x + s) - f(x)
              \le \langle \nabla f(x + s), s \rangle
              \le \langle \nabla f(x), s \rangle + L |s|^2

    For a short step ``s`` the interval is narrow: a gradient that is too large or too small by a
    factor, such as forgotten weights, belongs to another functional, whose minimizer it would
    certify. Costs two values, and a gradient where ``L`` is not known; nothing is tried where ``f``
    has no values.

    Parameters
    ----------
    solver : str
    active : Active
    samples : Element or Batch
    f : functional
    x, slope : elements or batches
        A point and the gradient there.
    step : element or batch
        About a hundredth of a step of the solver.
    L : numpy.ndarray of shape ``(size,)``, optional
        Lipschitz constant of the gradient; if it was found by a search, half of it will do.
    """
    if not (callable(f) and knows(f, "gradient")) or (
            isinstance(samples, Element) and not hasattr(x, "inner")):
        return
    target = samples.add(x, 1.0, step)
    try:
        before, after = numbers_of(f(x)), numbers_of(f(target))
    except NotImplementedError:
        return
    low = samples.inner(slope, step)
    if L is None:
        high = samples.inner(f.gradient(target), step)
    else:
        high = low + 2 * L * samples.norm(step) ** 2
    eps, change = samples.eps(x), after - before
    noise = (100 * eps + 1e-6) * (np.abs(before) + np.abs(after))
    noise = noise + 100 * eps * samples.norm(x) * samples.norm(slope)
    margin = 1e-3 * np.maximum(np.abs(low), np.abs(high)) + noise
    wrong = (change < low - margin) | (change > high + margin)
    if wrong.any():
        k = np.argmax(wrong)
        raise DivergenceError(
            f"{solver} has no certificate: along a short step f{active.name(wrong)} changes by "
            f"{change[k]:.6g}, but its gradients say {low[k]:.6g} to {high[k]:.6g}. Check that f "
            "is convex and f.gradient its gradient in the inner product of the space: adjoints of "
            "operators in it must know the weights of their spaces "
            "(conformance.operators.check_adjoint)."
        )


def _of(samples, bad):
    return "" if isinstance(samples, Element) else f" in sample {np.argmax(bad)}"
