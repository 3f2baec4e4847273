"""Energies of expressions: sums of terms, with all derivatives and certificates."""

import functools
import math

import torch

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.energies.coefficients.slopes import joined_norms
from odl_learned.energies.doors import require_images, require_length
from odl_learned.energies.energy import Linearization, ParametricEnergy, UnsolvableError
from odl_learned.energies.expressions.maps import double
from odl_learned.energies.hessian_variation import Variation


class ExpressionEnergy(ParametricEnergy):
    r"""A sum of terms ``alpha(theta) sum_g w_g psi(p_g)`` with ``p = A x + B y + b``.

    What `energy_of` returns. Everything is computed in double precision and Euclidean: the gradient
    is ``W`` times that of ODL, with the weights ``W`` of the space of images.

    Parameters
    ----------
    terms : list of Term and AutogradTerm
    rest : list of Remainder
        Summands that do not depend on the images.
    blocks : Blocks
    preconditioner : callable
        List of `TermPoint` to ``v -> M^-1 v``.
    """

    follows_dual = True

    def __init__(self, terms, rest, blocks, preconditioner):
        self.terms, self._rest, self._blocks = terms, rest, blocks
        self.preconditioner = preconditioner
        # Constants of densities that are not of this package are claims, which solvers try.
        self.has_formulas = all(term.has_formulas for term in terms)
        self._scalars = [s for term in terms for s in term.scalars]

    def value(self, x, params, data):
        """Return ``E`` of every sample, of shape ``(B,)``."""
        x, data = self._at_door(x, params, data), self._double(data)
        total = sum(term.value(x, params, data) for term in self.terms)
        return total + sum(part.value(params, data) for part in self._rest)

    def gradient(self, x, params, data):
        """Return ``d_x E``, of the shape of ``x``."""
        return _total(point.gradient for point in self._points(x, params, data)).to(x.dtype)

    def linearize(self, x, params, data):
        """Return the `Linearization` at ``x``."""
        return self._linearization(x, params, self._points(x, params, data))

    def linearize_from(self, x, params, data, state):
        """Return a `Linearization` that follows dual variables, as `VariationEnergy` does."""
        points = self._points(x, params, data)
        for i, point in enumerate(points):
            point.follow(None if state is None else state[i])
        linear = self._linearization(x, params, points)
        return linear, tuple(point.state for point in points)

    def _points(self, x, params, data):
        z, data = self._at_door(x, params, data), self._double(data)
        return [term.at(z, params, data) for term in self.terms]

    def _linearization(self, x, params, points):
        def hessian(v):
            z = double(v)
            return _total(point.hessian(z) for point in points).to(v.dtype)

        def mixed_adjoint(q):
            found = torch.stack([s for point in points for s in point.mixed(double(q))])
            return self._pulled_back(params, found)

        @functools.cache
        def inverse():
            return self.preconditioner(points)

        return Linearization(_total(point.gradient for point in points).to(x.dtype), hessian,
                             mixed_adjoint, lambda v: inverse()(double(v)).to(v.dtype))  # fmt: skip

    def _pulled_back(self, params, slopes):
        with torch.enable_grad():
            inner = params.detach().requires_grad_()
            values = self._values(inner)
            if not values.requires_grad:
                return torch.zeros_like(params)
            (result,) = torch.autograd.grad(values, inner, slopes.to(values))
        return result

    def _values(self, params):
        """The scalars of all terms, ``(K,)``."""
        return torch.stack([torch.as_tensor(s(params)) for s in self._scalars])

    def _slopes(self, params):
        """The gradients of the scalars, ``(K, P)``."""
        return torch.autograd.functional.jacobian(self._values, params.detach()).double()

    def lipschitz(self, params):
        """Return the sum of the bounds of all terms."""
        self._require_numbers(params)
        return sum(term.lipschitz(params) for term in self.terms)

    def strong_convexity(self, params):
        """Return the sum of the bounds of all terms from below."""
        self._require_numbers(params)
        return sum(term.strong_convexity(params) for term in self.terms)

    def curvature_constants(self, params):
        """Return ``(LA, LB, B)``; see `ParametricEnergy`."""
        lengths, rates, bent = self._slopes(params).norm(dim=1).tolist(), [], 0.0
        for term in self.terms:
            third, more = term.curvature_constants(params)
            bent, rates = bent + third, [*rates, *more]

        def joined(entry):
            return sum(0.0 if length == 0 else length * rate[entry]
                       for length, rate in zip(lengths, rates, strict=True))

        return bent, joined(0), joined(1)

    def variation_bound(self, x, params, data, radius, q):
        """Return the `Variation` on the ball around ``x``; see `TermVariation`."""
        x, q, data = self._at_door(x, params, data), double(q), self._double(data)
        e = torch.as_tensor(radius, dtype=torch.float64, device=x.device)
        mu = max(self.strong_convexity(params), 1e-300)
        found = [point.variation(e, q, mu) for point in self._points(x, params, data)]
        slopes = self._slopes(params)
        learned = slopes.norm(dim=1) > 0  # others count nothing, also where they are infinite
        changes, sizes = (torch.stack([entry for part in found for entry in getattr(part, name)])
                          for name in ("changes", "sizes"))  # fmt: skip
        mixed, jacobian = (
            joined_norms(slopes[learned], None, part[learned], None).nan_to_num(nan=math.inf)
            for part in (changes, sizes))  # fmt: skip
        return Variation(sum(part.hessian for part in found),
                         sum(part.mean_hessian for part in found), mixed, jacobian,
                         sum(part.pencil for part in found))  # fmt: skip

    def rounding(self, x, params, data):
        """Bound the rounding error of the gradient, in the norm, for every sample, ``(B,)``."""
        points, coarse = self._points(x, params, data), torch.finfo(x.dtype).eps
        total = _total(point.rounding() for point in points)
        if coarse > torch.finfo(torch.float64).eps:
            slope = _total(point.gradient for point in points)
            total = total + coarse * slope.flatten(1).norm(dim=1)
        return total

    def _at_door(self, x, params, data):
        """The images in double precision, after checks."""
        blocks = self._blocks
        require_images("x", x)
        layout = layout_of(blocks.images)
        layout.check(x, "x")
        if x.is_complex() != layout.dtype.is_complex:
            raise TypeError(f"x is {x.dtype}, expected {layout.dtype} or the other precision, as "
                            "the space of images.")
        size = 0 if blocks.parameters is None else blocks.parameters.size
        require_length(params, size, "as the space of parameters")
        if blocks.data is not None:
            door = layout_of(blocks.data)
            door.check(data, "data")
            if tuple(door.batch_shape(data)) != (len(x),):
                raise ValueError(f"data has the leading axes {tuple(door.batch_shape(data))}, "
                                 f"expected ({len(x)},) as x, one measurement for every image.")
        return double(x)

    def _double(self, data):
        return data if self._blocks.data is None else double(data)

    def _require_numbers(self, params):
        for term in self.terms:
            for number in term.numbers(params):
                if not (math.isfinite(number) and number >= 0):
                    raise UnsolvableError(
                        f"a factor of the energy is {number:g} at the parameters "
                        f"{params.tolist()}, expected finite nonnegative numbers; learn logarithms "
                        "by Exponential, or bound the parameters."
                    )


def _total(parts):
    """The sum of tensors, at least one."""
    return functools.reduce(torch.add, parts)
