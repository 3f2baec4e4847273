r"""Total variation as a reconstruction map: certified solutions, and directions of steep change.

.. math:: \Phi(y) = \arg\min_{u \in C} \tfrac12 |A u - y|_Y^2 + \alpha \int |\nabla u|

What learned maps are compared with in `stability_report`. A search without derivatives finds far
less than an ascent, so that a solver would look more stable beside networks than it is.

Where Phi is differentiable, ``h = Phi'(y) e`` solves ``(A* A + alpha H) h = A* e`` with the Hessian
H of total variation among all images that are constant where u is. With the solution u held,

.. math:: H = \nabla^* \frac{1}{s} \Big( 1 - \frac{g g^T}{s^2} \Big) \nabla, \qquad
          g = \nabla u, \quad s = \sqrt{|g|^2 + \nu^2},

tends to it for small nu: where g is zero, the factor ``1 / s`` becomes a penalty. So
``Phi'(y)* r = A (A* A + alpha H)^{-1} r``, since the inverse is its own adjoint. The bounds of the
images are left out: expected to be out of reach.
"""

import collections
import dataclasses
import warnings

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge import as_batch, as_module
from odl_learned.functionals import l2_fidelity
from odl_learned.operators import gradient, operator_norm
from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.reconstruction.trust.tried_maps import SolvedMap, Spaces
from odl_learned.solvers import Solution, conjugate_gradient, primal_dual
from odl_learned.validation import require_count, require_positive
from odl_learned.variational import tv_problem

#: nu over the largest length of the gradient of an image.
SMOOTHING = 1e-3
#: Relative residual and iterations of the linear equation: an ascent needs a direction, no more.
SLACK, PRODUCTS = 1e-2, 200
#: Solutions that a map remembers: an ascent asks for the same point again, for its gradient.
REMEMBERED = 64


def tv_map(
    forward_op: odl.Operator,
    alpha: float,
    constraint: odl.functionals.Functional,
    *,
    accuracy: float = 1e-3,
    maxiter: int = 1000,
) -> nn.Module:
    r"""Return total variation as a module from data to images, with a direction for an ascent.

    .. math:: \Phi(y) = \arg\min_{u \in C} \tfrac12 |A u - y|_Y^2 + \alpha \int |\nabla u|_2

    All samples of a batch are solved together, by `solvers.primal_dual`, each to its own duality
    gap; ``map.solve(data)`` returns the `Solution`. Gradients of a loss on the images by the data
    are those of the linearized problem, smoothed and solved to one per cent: right for a search,
    whose values are those of certified solutions, too rough for training. A second derivative is an
    error.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A: X -> Y``, X a ``uniform_discr`` space.
    alpha : float
        Regularization parameter, positive.
    constraint : odl.functionals.Functional
        Indicator of C, which makes the gap finite: `BoxConstraint`, `MagnitudeBound`. Choose it so
        large that it is not attained.
    accuracy : float, optional
        Duality gap, relative to the value of the problem, positive.
    maxiter : int, optional
        Of the iterations; a RuntimeWarning tells if they end before the accuracy is reached.

    Returns
    -------
    map : torch.nn.Module
        On tensors ``(*batch, *Y.shape)``, without weights.

    Raises
    ------
    TypeError, ValueError
        If spaces do not match, the operator is not linear, or a number is out of bounds.

    References
    ----------
    Rudin, L., Osher, S. and Fatemi, E. Nonlinear total variation based noise removal algorithms.
    Physica D 60 (1992).
    """
    spaces = Spaces(forward_op)
    require_positive("accuracy", accuracy)
    require_count("maxiter", maxiter)
    if constraint is None:
        raise TypeError("constraint is None, expected one of functionals, such as "
                        "BoxConstraint(forward_op.domain, -1, 2): without it no gap is finite.")
    problem = tv_problem(forward_op, l2_fidelity(forward_op.range.zero()), alpha, constraint)
    norm = operator_norm(problem.L)  # which does not depend on the data
    return TVMap(spaces, float(alpha), constraint, float(accuracy), maxiter, norm)


class TVMap(SolvedMap):
    """What `tv_map` returns."""

    def __init__(self, spaces, alpha, constraint, accuracy, maxiter, norm):
        super().__init__()
        self.norm = norm
        self.spaces, self.alpha, self.constraint = spaces, alpha, constraint
        self.accuracy, self.maxiter = accuracy, maxiter
        grad = gradient(spaces.forward_op.domain)
        self.simulate, self.back = spaces.simulate, as_module(spaces.forward_op.adjoint)
        self.grad, self.div = as_module(grad), as_module(grad.adjoint)
        self._known = collections.OrderedDict()

    def solve(self, data: torch.Tensor) -> Solution:
        """Return the solutions for data ``(N, *Y.shape)``, with their gaps, one for each sample."""
        A, layout = self.spaces.forward_op, self.spaces.data
        problems = [dataclasses.replace(
            tv_problem(A, l2_fidelity(layout.to_element(y)), self.alpha, self.constraint),
            norm=self.norm) for y in data.detach()]  # fmt: skip
        return primal_dual(as_batch(problems), accuracy=self.accuracy, maxiter=self.maxiter)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        layout = self.spaces.data
        layout.check(data, "data")
        require_tensor("data", data)
        lead = data.shape[: data.ndim - layout.ndim]
        if not lead.numel():
            images = self.spaces.images
            return torch.zeros(*lead, *images.shape, dtype=images.dtype, device=data.device)
        u = _Solved.apply(data.reshape(-1, *layout.shape), self)
        return u.reshape(*lead, *u.shape[1:])

    def image(self, data: torch.Tensor) -> torch.Tensor:
        """Return the solutions ``(N, *X.shape)``, from memory if the data were solved before.

        A sample has the same bits alone and among others, so that this changes no value.
        """
        keys = [y.detach().cpu().contiguous().numpy().tobytes() for y in data]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        found = {key: self._known[key] for key in keys if key in self._known}
        if new:
            solution = self.solve(data[list(new.values())])
            missed = solution.reason == "maxiter"
            if missed.any():
                warnings.warn(
                    f"total variation was not solved to a relative gap of {self.accuracy:.1e} in "
                    f"{missed.sum()} of {len(missed)} samples after {self.maxiter} iterations; "
                    "pass a larger maxiter, or a larger accuracy.", RuntimeWarning, stacklevel=2)
            found.update(zip(new, solution.x))
        for key, x in found.items():
            self._known[key] = x
            self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return torch.stack([found[key] for key in keys])

    def linearized(self, u: torch.Tensor) -> "_Linearized":
        """``h -> W (A* A + alpha H) h``, symmetric, at images ``(N, *X.shape)``."""
        g = self.grad(u)
        lengths = g.abs().square().sum(self._axis, keepdim=True)
        largest = lengths.flatten(1).amax(1).reshape(-1, *[1] * (g.ndim - 1))
        floor = torch.where(largest > 0, SMOOTHING**2 * largest, 1.0)
        return _Linearized(self, g, (lengths + floor).sqrt())

    @property
    def _axis(self):
        return -1 - self.spaces.images.ndim


class _Linearized:
    def __init__(self, map, g, s):
        self.map, self.g, self.s = map, g, s

    def __call__(self, h):
        map = self.map
        q = map.grad(h)
        along = (self.g.conj() * q).real.sum(map._axis, keepdim=True) / self.s**2
        curved = map.div((q - along * self.g) / self.s)
        return map.spaces.images.weigh(map.back(map.simulate(h)) + map.alpha * curved)

    def take(self, index):
        return _Linearized(self.map, self.g[index], self.s[index])


class _Solved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, data, map):
        u = map.image(data)
        ctx.map = map
        ctx.save_for_backward(u)
        return u

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, r):
        map, (u,) = ctx.map, ctx.saved_tensors
        size = r.flatten(1).norm(dim=1).double().cpu().numpy()
        moved = torch.zeros_like(r)
        used = np.flatnonzero(size > 0)
        if used.size:
            system = map.linearized(u[used])
            moved[used] = conjugate_gradient(system, r[used], torch.zeros_like(r[used]),
                                             SLACK * size[used], PRODUCTS).x
        return map.spaces.data.weigh(map.simulate(moved)), None
