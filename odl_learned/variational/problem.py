"""Convex problems ``min_x f(x) + g(L x)`` as data, for elements and for batches."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import odl
from odl.functionals import Functional

from odl_learned.functionals import precise_value
from odl_learned.operators import operator_norm
from odl_learned.solvers.arithmetic.samples import restricted
from odl_learned.solvers.types import Data, Image, Point
from odl_learned.validation import require_positive, shown
from odl_learned.variational.doors import require_element, require_numbers
from odl_learned.variational.duality import certificate, feasible_dual, gap_at


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
    image : linear odl.Operator, optional
        On ``L.domain``: the part of ``x`` in which the objective is strongly convex, where it is
        not in all of ``x``; for consistent ``y`` it is all there is of ``L* y``.
    image_convexity : float
        Constant ``mu`` of this part.

    Raises
    ------
    TypeError, ValueError
        If ``L`` is not linear, ``f`` or ``g`` not a functional on its domain or range, or a number
        not finite, negative, or zero in place of a balance, norm or radius.

    References
    ----------
    Rockafellar, R. T. Convex Analysis. Princeton 1970, section 31.
    """

    f: Functional
    g: Functional
    L: odl.Operator
    f_conj: Functional | None = None
    g_conj: Functional | None = None
    consistent: odl.Operator | None = None
    radii: tuple = ()
    balance: float = 1.0
    strong_convexity: float = 0.0
    norm: float | None = None
    image: odl.Operator | None = None
    image_convexity: float = 0.0

    def __post_init__(self):
        if not getattr(self.L, "is_linear", False):
            raise TypeError(
                f"L is {self.L!r}; expected a linear odl.Operator. A nonlinear one is linearized "
                "by L.derivative(x); a torch module becomes one by bridge.as_operator."
            )
        for name, side in (("f", "domain"), ("g", "range")):
            functional, space = getattr(self, name), getattr(self.L, side)
            if not hasattr(functional, "proximal") or functional.domain != space:
                raise ValueError(
                    f"{name} is {shown(functional)}; expected a functional with a proximal on "
                    f"{space!r}, the {side} of L; build it on L.{side}."
                )
            if getattr(self, f"{name}_conj") is None:
                object.__setattr__(self, f"{name}_conj", functional.convex_conj)
        require_numbers("balance", self.balance)
        for name in ("strong_convexity", "image_convexity"):
            require_numbers(name, getattr(self, name), or_zero=True)
        if self.norm is not None:
            require_numbers("norm", self.norm)
        for index, radius in self.radii:
            require_numbers(f"the radius of {index}", radius)

    def __iter__(self):
        return iter((self.f, self.g, self.L))

    def value(self, x: Point) -> float | np.ndarray:
        """Return ``f(x) + g(L x)`` as a float; ``x`` is an element of ``L.domain``."""
        require_element("x", x, self.L, "domain")
        return precise_value(self.f, x) + precise_value(self.g, self.L(x))

    def dual_value(self, y: Point) -> float | np.ndarray:
        """Return a lower bound of the minimum as a float; ``y`` is any element of ``L.range``."""
        require_element("y", y, self.L, "range")
        values = feasible_dual(self, y)[2]
        return values if hasattr(self.L.range, "split") else values.item()

    def feasible(self, y: Data) -> Data:
        """Return the feasible dual variable near ``y`` that `dual_value` evaluates.

        It is made consistent, scaled down until the fields in it are short enough, and, where the
        dual value is infinite there, moved towards zero until that is finite; towards a multiple of
        ``L 1``, of a constant image, where the constraint is a bound on one side.
        """
        return feasible_dual(self, y)[0]

    def gap(self, x: Point, y: Point) -> float | np.ndarray:
        r"""Return the duality gap, an upper bound of the distance of ``value(x)`` to the minimum.

        .. math:: \text{gap}(x, y) = \text{value}(x) - \text{dual\_value}(y) + \epsilon
                  (|L| |x| |y| + |\text{value}(x)| + |\text{dual\_value}(y)|)
                  \ge \text{value}(x) - \min .

        Sums are in double precision; the last term, with the ``epsilon`` of the precision of the
        space, allows for the rounding of ``L x``, ``L* y`` and of the entries in the sums. Where
        ``<L x, y>`` and ``<x, L* y>`` differ by more, the difference counts in its place. Infinite
        where ``x`` violates the constraint. Where ``f* (-L* y)`` is infinite, ``y`` is moved
        to where it is not, see `feasible`; with nonnegative images the gap tends to zero if ``A* A
        1 > 0``, as for all operators with nonnegative entries. Without a constraint, it does so in
        denoising and in `tikhonov_problem`; otherwise ``L* y = 0`` would have to hold exactly.
        Where the objective is strongly convex with a known constant ``mu``, it need not, and the
        gap is the smaller one of that for ``y = 0`` and of

        .. math:: \tfrac14 \Big( c + \sqrt{c^2 + 4 G} \Big)^2, \qquad
                  c = |L^* y| \sqrt{2 / \mu}, \qquad
                  G = \text{value}(x) + f^*(0) + g^*(y) - \langle L^* y, x \rangle,

        which tends to zero, see `duality`. That is so for data terms ``|A x - y|^2 / 2`` with an
        ``A`` whose smallest singular value is known, see `operators.least_stretch`. Elsewhere
        nothing bounds how far the minimizer is from ``x``, and the lower bound is that for ``y =
        0``, which is zero for the problems of this package.

        Parameters
        ----------
        x : element of ``L.domain``
        y : element of ``L.range``
            Dual variable, as updated in place by ``odl.solvers.pdhg(..., y=y)``. Any will do.
        """
        return self.value_and_gap(x, y)[1]

    def value_and_gap(self, x: Point, y: Point) -> tuple[float | np.ndarray, float | np.ndarray]:
        """Return ``value(x)`` and ``gap(x, y)``."""
        require_element("x", x, self.L, "domain")
        require_element("y", y, self.L, "range")
        image = self.L(x)
        value = precise_value(self.f, x) + precise_value(self.g, image)
        gap, _ = gap_at(self, x, image, np.atleast_1d(value), y)
        return value, gap if np.ndim(value) else gap.item()

    def certificate(self, x: Image, y: Point) -> tuple[Image, np.ndarray, np.ndarray, np.ndarray]:
        r"""Return a point near ``x`` with a finite value, and its value and gap, for solvers.

        It is ``x`` where ``value(x)`` is finite. Elsewhere it is the farthest such point on the way
        from ``prox_f`` of a constant image, as long as ``x``, to ``x``, see
        `duality.farthest_finite`; it tends to ``x`` where ``x`` becomes feasible in the limit, and
        is ``x`` if nothing finite is found.

        Parameters
        ----------
        x : element of ``L.domain`` or batch
        y : element of ``L.range`` or batch

        Returns
        -------
        x : element of ``L.domain`` or batch
        value, gap, rounding : numpy.ndarray of shape ``(size,)``
            One entry for an element. The gap is infinite where the value is; ``rounding`` is how
            much of it allows for rounding errors.
        """
        require_element("x", x, self.L, "domain")
        return certificate(self, x, y)

    @property
    def operator_norm(self) -> float | np.ndarray:
        """A bound of ``|L|``, at most two percent too large, remembered with the operator."""
        return operator_norm(self.L, rtol=2e-2) if self.norm is None else self.norm

    def step_sizes(self, ratio: float = 1.0) -> tuple[float | np.ndarray, float | np.ndarray]:
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
        # Any step will do where L is zero, as the gradient of a single point.
        norm = self.operator_norm
        norm = np.where(norm == 0, 1.0, norm) if np.ndim(norm) else norm or 1.0
        step = math.sqrt(0.99) / norm
        return ratio * self.balance * step, step / (ratio * self.balance)

    def batched(
        self, problems: Sequence[object], convert: Callable[[Sequence[object]], Any]
    ) -> "Problem":
        """Return the problem of a batch; `bridge.as_batch` calls it.

        Parameters
        ----------
        problems : list of Problem
            One per sample, of one form; ``[self]`` for the same problem for all samples.
        convert : callable
            Makes the twin of a list of functionals or operators, one per problem.
        """
        known = [p for p in problems if isinstance(p, Problem)]
        if len(known) < len(problems):
            strange = next(p for p in problems if not isinstance(p, Problem))
            raise TypeError(
                f"one of the objects is a {type(strange).__name__}, expected problems only, of one "
                "builder; batch other objects by themselves."
            )
        forms = {(p.consistent is None, p.image is None, tuple(i for i, _ in p.radii))
                 for p in known}
        if len(forms) > 1:
            raise ValueError(
                "the problems have dual variables of different forms; expected problems of one "
                "builder, all with or all without a constraint. Solve each kind by itself."
            )
        parts: dict[str, Any] = {name: convert([getattr(p, name) for p in known])
                                 for name in ("f", "g", "L", "f_conj", "g_conj")}  # fmt: skip
        for name in ("consistent", "image"):
            if getattr(self, name) is not None:
                parts[name] = convert([getattr(p, name) for p in known])
        if parts["L"].is_shared:
            parts["norm"] = self.operator_norm
        else:
            parts["norm"] = np.array([p.operator_norm for p in known])
        for name in ("balance", "strong_convexity", "image_convexity"):
            parts[name] = _per_sample([getattr(p, name) for p in known])
        parts["radii"] = tuple((index, _per_sample([p.radii[i][1] for p in known]))
                               for i, (index, _) in enumerate(self.radii))  # fmt: skip
        return dataclasses.replace(self, **parts)

    def take(self, index: np.ndarray) -> "Problem":
        """Return the problem of some of the samples."""
        def part(value):
            if isinstance(value, np.ndarray):
                return value[index]
            if isinstance(value, tuple):
                return tuple((i, part(radius)) for i, radius in value)
            return restricted(value, index)

        return dataclasses.replace(self, **{field.name: part(getattr(self, field.name))
                                            for field in dataclasses.fields(self)})  # fmt: skip


def _per_sample(values):
    """One number per sample, or one for all where they agree."""
    return values[0] if len(set(values)) == 1 else np.array(values)
