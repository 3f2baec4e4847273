"""Gradient and symmetrized gradient, with one boundary convention for both."""

import math
import weakref

import numpy as np
import odl

from odl_learned.odl_validation import require_array_space, require_operator
from odl_learned.weights import has_constant_weight, unweigh, weigh

#: Gradients in use: problems on one space share one, and with it its norm and its twin in torch.
_gradients: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def gradient(space: odl.DiscretizedSpace) -> odl.Gradient:
    r"""Return the gradient by forward differences with Neumann boundary conditions.

    .. math:: (\nabla u)_{i,j} = \Big( \frac{u_{i+1,j} - u_{i,j}}{h_1},
              \frac{u_{i,j+1} - u_{i,j}}{h_2} \Big),

    with zero instead of the difference at the last index of its axis.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, of any number of dimensions and at least two points per axis.

    Returns
    -------
    op : odl.Gradient
        Linear operator from ``space`` to ``space ** space.ndim``.

    Raises
    ------
    TypeError
        If the space is not a uniform discretization.
    """
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            f"space is {space!r}; expected a uniform discretization, built with "
            "odl.uniform_discr(min_pt, max_pt, shape), since differences need cell sides."
        )
    require_array_space("space", space)
    op = _gradients.get(space)
    if op is None:
        op = _gradients[space] = odl.Gradient(space, method="forward", pad_mode="symmetric")
    return op


# Staggered grid, written for d = 2. u lives at (i, j). Forward differences put
#     v_1 = d_1 u  at (i + 1/2, j),  i <= n_1 - 2,      v_2 = d_2 u  at (i, j + 1/2),  j <= n_2 - 2,
# and the values of v_1 at i = n_1 - 1 (v_2 at j = n_2 - 1) are fictitious: they exist in the array
# but belong to no edge of the grid. Centered differences of these edges are
#     E_11 = (v_1[i] - v_1[i - 1]) / h_1  at (i, j),                 1 <= i <= n_1 - 2,
#     E_12 = ((v_1[j + 1] - v_1[j]) / h_2 + (v_2[i + 1] - v_2[i]) / h_1) / 2
#                                         at (i + 1/2, j + 1/2),     i <= n_1 - 2, j <= n_2 - 2,
# that is backward differences on the diagonal and forward ones off it. Entries that would read a
# fictitious value are zero. For v = grad u all entries are second differences of u, so that E v = 0
# if and only if u is affine (on the real edges): the kernel of TGV. Likewise E(-y, x) = 0.


def _along(axis, start, stop, ndim):
    """Return the index that takes ``start:stop`` along one axis and everything along the others."""
    return (slice(None),) * axis + (slice(start, stop),) + (slice(None),) * (ndim - axis - 1)


def _corner(first, second, shift_axis, ndim):
    """Return the index of the cells with real off-diagonal entries, shifted along one axis."""
    index = [slice(None)] * ndim
    for axis in (first, second):
        index[axis] = slice(1, None) if axis == shift_axis else slice(None, -1)
    return tuple(index)


def _pairs(ndim):
    return [(i, j) for i in range(ndim) for j in range(i + 1, ndim)]


class SymmetrizedGradient(odl.Operator):
    r"""Symmetrized gradient of a vector field, on a staggered grid.

    .. math:: E v = \tfrac12 (\nabla v + \nabla v^\top),

    stored as ``(E_11, ..., E_dd, sqrt(2) E_12, sqrt(2) E_13, ..., sqrt(2) E_(d-1)d)`` (Mandel's
    notation), so that the Euclidean norm of the components is the Frobenius norm of the matrix.
    ``E(grad u)`` vanishes for affine ``u`` and for no other. Backward differences on the diagonal,
    zero at the first and last index of their axis; forward differences off it, zero at the last
    indices of both axes.

    Parameters
    ----------
    domain : power space ``X ** d``
        Vector fields, where ``X`` is a ``uniform_discr`` space with ``d`` dimensions, for example
        ``gradient(X).range``. The range is ``X ** (d (d + 1) / 2)``.

    Raises
    ------
    TypeError
        If the domain is not such a power space.

    References
    ----------
    Bredies, K., Kunisch, K. and Pock, T. Total Generalized Variation. SIAM J. Imaging Sci. 3
    (2010), equation (3.2); the staggered grid is standard for linear elasticity.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> E = operators.SymmetrizedGradient(operators.gradient(X).range)
    >>> field = E.domain.element([X.element(lambda x: 2 * x[0] + 0 * x[1]), X.zero()])
    >>> print(E(field)[0].data[1, 1], E(field)[2].data[1, 1])
    2.0 0.0
    >>> isinstance(E.adjoint, operators.SymmetrizedGradientAdjoint)
    True
    >>> q = E.range.one()
    >>> print(E(field).inner(q), field.inner(E.adjoint(q)))
    16.0 16.0
    """

    def __init__(self, domain: odl.ProductSpace) -> None:
        space = domain[0] if isinstance(domain, odl.ProductSpace) and len(domain) else None
        if not isinstance(space, odl.DiscretizedSpace) or domain != space**space.ndim:
            raise TypeError(
                f"domain is {domain!r}; expected X ** d for a uniform discretization X with d "
                "dimensions; pass gradient(X).range."
            )
        require_array_space("domain[0]", space)
        ndim = space.ndim
        super().__init__(domain, space ** (ndim * (ndim + 1) // 2), linear=True)

    def _call(self, v, out=None):
        if out is None:
            out = self.range.element()
        space = self.domain[0]
        ndim = space.ndim
        scale = [float(1 / h) for h in space.cell_sides]
        for axis in range(ndim):
            entry, field = out[axis].data, v[axis].data
            entry[_along(axis, 0, 1, ndim)] = 0
            entry[_along(axis, -1, None, ndim)] = 0
            inner = entry[_along(axis, 1, -1, ndim)]
            before, here = field[_along(axis, 0, -2, ndim)], field[_along(axis, 1, -1, ndim)]
            np.subtract(here, before, out=inner)
            inner *= scale[axis]
        for number, (i, j) in enumerate(_pairs(ndim)):
            entry, first, second = out[ndim + number].data, v[i].data, v[j].data
            entry[_along(i, -1, None, ndim)] = 0
            entry[_along(j, -1, None, ndim)] = 0
            here = _corner(i, j, None, ndim)
            inner = entry[here]
            # sqrt(2) E_ij = (d_j v_i + d_i v_j) / sqrt(2)
            np.subtract(second[_corner(i, j, i, ndim)], second[here], out=inner)
            inner *= scale[i] / scale[j]
            inner += first[_corner(i, j, j, ndim)]
            inner -= first[here]
            inner *= scale[j] / math.sqrt(2)
        return out

    @property
    def adjoint(self) -> "SymmetrizedGradientAdjoint":
        """The adjoint, minus the divergence of symmetric matrix fields."""
        return SymmetrizedGradientAdjoint(self)


class SymmetrizedGradientAdjoint(odl.Operator):
    r"""Adjoint of `SymmetrizedGradient`, minus the divergence of symmetric matrix fields.

    .. math:: \langle E v, w \rangle = \langle v, E^* w \rangle
              \quad \text{for all vector fields } v \text{ and symmetric matrix fields } w.

    Where the entries of the space have different weights ``W``, it is ``W^-1 E^T W``.

    Parameters
    ----------
    forward_op : SymmetrizedGradient
        The operator ``E``; it is the adjoint of this one.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, forward_op: SymmetrizedGradient) -> None:
        require_operator("forward_op", forward_op, SymmetrizedGradient,
                         "take the property adjoint of one.")
        super().__init__(forward_op.range, forward_op.domain, linear=True)
        self.forward_op = forward_op

    def _call(self, w, out=None):
        if out is None:
            out = self.range.element()
        if has_constant_weight(self.range[0]):
            return self._transpose(w, out)
        out.assign(unweigh(self._transpose(weigh(w), out)))
        return out

    def _transpose(self, w, out):
        space = self.range[0]
        ndim = space.ndim
        scale = [float(1 / h) for h in space.cell_sides]
        for axis in range(ndim):
            field = out[axis].data
            field[...] = 0
            flux = w[axis].data[_along(axis, 1, -1, ndim)] * scale[axis]
            field[_along(axis, 1, -1, ndim)] += flux
            field[_along(axis, 0, -2, ndim)] -= flux
        for number, (i, j) in enumerate(_pairs(ndim)):
            here = _corner(i, j, None, ndim)
            entry = w[ndim + number].data[here]
            for field, axis in ((out[i].data, j), (out[j].data, i)):
                flux = entry * (scale[axis] / math.sqrt(2))
                field[_corner(i, j, axis, ndim)] += flux
                field[here] -= flux
        return out

    @property
    def adjoint(self) -> SymmetrizedGradient:
        """The operator of which this is the adjoint."""
        return self.forward_op
