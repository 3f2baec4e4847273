"""The quadratic model of Newton's method: gradient, Hessian and preconditioner at an iterate."""

from odl_learned.solvers.arithmetic.samples import restricted
from odl_learned.solvers.checks import knows


class NewtonModel:
    """``d -> <g, d> + <H d, d> / 2`` with gradient ``g`` and Hessian ``H``, and ``M^-1``.

    Products with the Hessian go through what was linearized once. While more than half of its
    samples run, others are carried along; then the rest is linearized anew.
    """

    mu = None

    def __init__(self, f, x, precondition, samples, position=None, linearization=None):
        self._f, self._x, self._pre, self._samples = f, x, precondition, samples
        self._position, self._full = position, linearization
        if linearization is None:
            self._full = _linearize(f, x)
        self.gradient = self._full[0]
        if position is not None:
            self.gradient = samples.take(self.gradient, position)

    def product(self, v):
        """``H v``."""
        return self._apply(self._full[1], v)

    def precondition(self, v):
        """``M^-1 v``."""
        pre = self._pre
        if pre is not None:
            return pre(v) if self._position is None else restricted(pre, self._position)(v)
        return v if self._full[2] is None else self._apply(self._full[2], v)

    def take(self, index):
        """The model of some of the running samples."""
        samples = self._samples
        if samples.size == len(index):
            return self
        position = index if self._position is None else self._position[index]
        if 2 * len(position) > samples.size:
            return NewtonModel(self._f, self._x, self._pre, samples, position, self._full)
        pre = None if self._pre is None else restricted(self._pre, position)
        f, x = restricted(self._f, position), samples.take(self._x, position)
        return NewtonModel(f, x, pre, samples.subset(position))

    def _apply(self, operator, v):
        if self._position is None:
            return operator(v)
        whole = self._samples.put(self._samples.scale(0.0, self._x), self._position, v)
        return self._samples.take(operator(whole), self._position)


def _linearize(f, x):
    """Return gradient, Hessian, and preconditioner or None."""
    if hasattr(f, "linearize"):
        linearization = f.linearize(x)
        return (linearization.gradient, linearization.hessian,
                getattr(linearization, "precondition", None))
    gradient = f.gradient if knows(f, "gradient") else None
    try:
        return gradient(x), gradient.derivative(x), None
    except (AttributeError, NotImplementedError, TypeError) as error:
        if hasattr(gradient, "derivative") and not isinstance(error, NotImplementedError):
            raise
        raise TypeError(
            f"f is {f!r}; expected f.linearize(x) with gradient and hessian, or f.gradient with "
            "derivative(x). Those of odl_learned.energies have it; an ODL functional gets second "
            "derivatives by bridge.as_functional(bridge.as_module(f), f.domain)."
        ) from error
