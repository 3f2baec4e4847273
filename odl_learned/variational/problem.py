"""Convex problems ``min_x f(x) + g(L x)`` as data, for elements and for batches."""

import dataclasses
import math

import numpy as np
import odl
from array_api_compat import array_namespace, is_array_api_obj, to_device
from odl.functionals import Functional

from odl_learned.functionals import precise_value
from odl_learned.operators import operator_norm
from odl_learned.solvers.samples import restricted, samples_of
from odl_learned.validation import require_positive


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    r"""A convex problem ``min_x f(x) + g(L x)`` that can measure how far from solved it is.

    The lower bound of the minimum is the value of the dual problem,

    .. math:: \max_y \; -f^*(-L^* y) - g^*(y),

    at a feasible point: ``y``, made consistent by a linear operator and scaled down until the
    fields in it are short enough.

    All of it is data. ``bridge.as_batch(problem)`` is the same problem for batches of tensors, and
    ``bridge.as_batch([problem, ...])`` one problem per sample, where all values below are arrays
    with one entry per sample.

    Parameters
    ----------
    f : odl.functionals.Functional
        On ``L.domain``, with a proximal.
    g : odl.functionals.Functional
        On ``L.range``, whose convex conjugate has a proximal.
    L : linear odl.Operator
    f_conj, g_conj : odl.functionals.Functional, optional
        Equal to the convex conjugates at feasible dual variables. Default: the conjugates.
    consistent : linear odl.Operator, optional
        On ``L.range``: replaces the parts of a dual variable that are determined by others.
    radii : tuple of pairs (int or None, float)
        The field ``y[i]``, or ``y`` itself for None, is feasible where its length is at most the
        radius, in every point. A pair ``(i, k)`` in place of ``i`` means component ``k`` of that
        field and its magnitude.
    balance : float
        Natural ratio of primal and dual steps, see `step_sizes`.
    strong_convexity : float
        Constant ``mu`` with which ``f(x) + g(L x)`` is strongly convex in ``x``, zero if it is not.
    norm : float, optional
        Bound of ``|L|``. Default: its `operators.operator_norm`.

    References
    ----------
    Rockafellar, R. T. Convex Analysis. Princeton 1970, section 31.
    """

    f: Functional
    g: Functional
    L: odl.Operator
    f_conj: Functional = None
    g_conj: Functional = None
    consistent: odl.Operator = None
    radii: tuple = ()
    balance: float = 1.0
    strong_convexity: float = 0.0
    norm: float = None

    def __post_init__(self):
        for name in "fg":
            if getattr(self, f"{name}_conj") is None:
                object.__setattr__(self, f"{name}_conj", getattr(self, name).convex_conj)

    def __iter__(self):
        return iter((self.f, self.g, self.L))

    def value(self, x):
        """Return ``f(x) + g(L x)`` as a float; ``x`` is an element of ``L.domain``."""
        _require_element("x", x, self.L, "domain")
        return precise_value(self.f, x) + precise_value(self.g, self.L(x))

    def dual_value(self, y):
        """Return a lower bound of the minimum as a float; ``y`` is any element of ``L.range``."""
        _require_element("y", y, self.L, "range")
        y = self.feasible(y)
        slope = samples_of(y, self.L.range).scale(-1.0, self.L.adjoint(y))
        return -precise_value(self.f_conj, slope) - precise_value(self.g_conj, y)

    def feasible(self, y):
        """Return the feasible dual variable near ``y`` that `dual_value` evaluates."""
        if self.consistent is not None:
            y = self.consistent(y)
        samples = samples_of(y, self.L.range)
        factor = np.ones(samples.size)
        for index, radius in self.radii:
            index, component = index if isinstance(index, tuple) else (index, None)
            field = y if index is None else _parts(y, self.L.range)[index]
            length = _largest_length(field, component)
            factor = np.minimum(factor, radius / np.maximum(length, radius))
        return samples.scale(factor, y) if self.radii else y

    def gap(self, x, y):
        r"""Return the duality gap, an upper bound of the distance of ``value(x)`` to the minimum.

        .. math:: \text{gap}(x, y) = \text{value}(x) - \text{dual\_value}(y)
                  + \epsilon |L| |x| |y| \ge \text{value}(x) - \min .

        Sums are in double precision; the last term, with the ``epsilon`` of the precision of the
        space, allows for the rounding of ``L x`` and ``L* y``. Infinite where ``x`` violates the
        constraint, or where ``f* = f_conj`` is infinite. Without a constraint, ``f* (-L* y)`` is
        finite in denoising with a strongly convex fidelity and in `tikhonov_problem`; otherwise
        ``L* y = 0`` would have to hold exactly.

        Parameters
        ----------
        x : element of ``L.domain``
        y : element of ``L.range``
            Dual variable, as updated in place by ``odl.solvers.pdhg(..., y=y)``. Any will do.
        """
        return self.value_and_gap(x, y)[1]

    def value_and_gap(self, x, y):
        """Return ``value(x)`` and ``gap(x, y)``."""
        value, lower = self.value(x), self.dual_value(y)
        # |fl(L x) - L x| <= eps |L| |x| changes the value by at most |y*| times as much, y* a
        # subgradient near y; likewise for L* y.
        sizes = self.L.domain.norm(x) * self.L.range.norm(y)
        rounding = _precision(self.L.domain) * self.operator_norm * _numbers(sizes)
        with np.errstate(invalid="ignore"):
            gap = np.where(np.isfinite(value) & np.isfinite(lower), value - lower, math.inf)
        gap = gap + rounding
        return value, gap if np.ndim(value) else float(gap)

    @property
    def operator_norm(self):
        """A bound of ``|L|``, at most two percent too large, remembered with the operator."""
        return operator_norm(self.L, rtol=2e-2) if self.norm is None else self.norm

    def step_sizes(self, ratio=1.0):
        r"""Return step sizes for pdhg as Python floats.

        .. math:: \tau \sigma |L|^2 = 0.99, \qquad \tau / \sigma = (\text{ratio} \cdot b)^2,

        where ``b`` is the attribute ``balance``, an estimate of the size of the solution over that
        of its dual variable, which the bound of pdhg asks for. It makes the iterates independent
        of the units of image, data and length. A larger ratio moves the image faster.

        Parameters
        ----------
        ratio : float, optional
            Positive.

        Returns
        -------
        tau, sigma : float
        """
        require_positive("ratio", ratio)
        step = math.sqrt(0.99) / self.operator_norm
        return ratio * self.balance * step, step / (ratio * self.balance)

    def batched(self, problems, convert):
        """Return the problem of a batch; `bridge.as_batch` calls it.

        Parameters
        ----------
        problems : list of Problem
            One per sample, of one form; ``[self]`` for the same problem for all samples.
        convert : callable
            Makes the twin of a list of functionals or operators, one per problem.
        """
        strange = next((p for p in problems if not isinstance(p, Problem)), None)
        if strange is not None:
            raise TypeError(
                f"one of the objects is a {type(strange).__name__}, expected problems only, of one "
                "builder; batch other objects by themselves."
            )
        forms = {(p.consistent is None, tuple(i for i, _ in p.radii)) for p in problems}
        if len(forms) > 1:
            raise ValueError(
                "the problems have dual variables of different forms; expected problems of one "
                "builder, all with or all without a constraint. Solve each kind by itself."
            )
        parts = {name: convert([getattr(p, name) for p in problems])
                 for name in ("f", "g", "L", "f_conj", "g_conj")}  # fmt: skip
        if self.consistent is not None:
            parts["consistent"] = convert([p.consistent for p in problems])
        if parts["L"].is_shared:
            parts["norm"] = self.operator_norm
        else:
            parts["norm"] = np.array([p.operator_norm for p in problems])
        for name in ("balance", "strong_convexity"):
            parts[name] = _per_sample([getattr(p, name) for p in problems])
        parts["radii"] = tuple((index, _per_sample([p.radii[i][1] for p in problems]))
                               for i, (index, _) in enumerate(self.radii))  # fmt: skip
        return dataclasses.replace(self, **parts)

    def take(self, index):
        """Return the problem of some of the samples."""
        def part(value):
            if isinstance(value, np.ndarray):
                return value[index]
            if isinstance(value, tuple):
                return tuple((i, part(radius)) for i, radius in value)
            return restricted(value, index)

        return dataclasses.replace(self, **{field.name: part(getattr(self, field.name))
                                            for field in dataclasses.fields(self)})  # fmt: skip


def _require_element(name, element, op, side):
    if element not in getattr(op, side):
        raise TypeError(
            f"{name} is not an element of L.{side}, {getattr(op, side)!r}; start from "
            f"L.{side}.zero(), or pass L.{side}.element(...)."
        )


def _parts(y, space):
    """The blocks of an element, or of a batch."""
    return space.split(y) if hasattr(space, "split") else y


def _largest_length(field, component=None):
    """Return the largest length of the vectors of a field, or of every field of a batch.

    With a component it is the largest magnitude of this one.
    """
    is_batch = is_array_api_obj(field) and not hasattr(field, "space")
    count = field.shape[1] if is_batch else len(field)
    chosen = range(count) if component is None else [component]
    parts = [field[:, i, ...] if is_batch else field[i].data[None] for i in chosen]
    xp = array_namespace(parts[0])
    squares = sum(xp.astype(xp.abs(part), xp.float64) ** 2 for part in parts)
    largest = xp.max(xp.reshape(squares, (squares.shape[0], -1)), axis=1)
    return np.sqrt(_numbers(largest))


def _numbers(values):
    """Numbers of samples as a numpy array, a number as a float."""
    if isinstance(values, float):
        return values
    return np.asarray(to_device(values, "cpu"), dtype=np.float64)


def _per_sample(values):
    """One number per sample, or one for all where they agree."""
    return values[0] if len(set(values)) == 1 else np.array(values)


def _precision(space):
    """Distance of one to the next number in the precision of a space, or of one of batches."""
    if hasattr(space, "eps"):
        return space.eps
    if isinstance(space, odl.ProductSpace):
        return max(map(_precision, space.spaces))
    return float(np.finfo(str(space.dtype_identifier)).eps)
