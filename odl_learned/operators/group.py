"""Quarter turns of the plane and reflections, which only permute the pixels."""

import numpy as np
import odl

from odl_learned.odl_validation import require_array_space
from odl_learned.weights import constant_weight


def require_pixels(space):
    """Raise TypeError unless the space is a uniform discretization with a constant weight."""
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            f"space is {space!r}; expected a uniform discretization with constant weight, built "
            "with odl.uniform_discr(min_pt, max_pt, shape)."
        )
    require_array_space("space", space)
    constant_weight("space", space)


def require_square(space, motion="quarter turn", ndims=(2,)):
    """Raise TypeError or ValueError unless a rotation can map the grid of the space to itself.

    In three dimensions, where ``ndims`` has them, about the third axis.
    """
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            f"space is {space!r}; expected a 2D uniform discretization with constant weight, "
            "built with odl.uniform_discr(min_pt, max_pt, (n, n))."
        )
    require_array_space("space", space)
    constant_weight("space", space)
    if space.ndim not in ndims or space.shape[0] != space.shape[1]:
        shapes = "(n, n) or (n, n, m)" if 3 in ndims else "(n, n)"
        raise ValueError(
            f"space has shape {space.shape}, expected {shapes}: a {motion} must map the grid "
            "to itself. Crop or pad the images to a square."
        )
    if not np.isclose(space.cell_sides[0], space.cell_sides[1], rtol=1e-6, atol=0):
        raise ValueError(
            f"space has cell sides {space.cell_sides.tolist()}, expected equal ones: a {motion} "
            "must map the grid to itself. Choose a square domain."
        )


class QuarterTurn(odl.Operator):
    r"""Rotation of an image by ``k`` quarter turns counterclockwise about its center.

    .. math:: (g u)(x) = u(R^{-1} x), \qquad R = \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix}^k,

    where axis 0 is x and axis 1 is y, pointing up. Exact: it only permutes the pixels. The adjoint
    is the inverse is the rotation by ``-k``; ``k`` counts modulo 4. Volumes turn about their third
    axis, each slice as an image.

    Parameters
    ----------
    space : 2D or 3D ``uniform_discr`` space
        Images, real or complex, with as many points and equal cell sides along the first two axes.
    k : int
        Number of quarter turns.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization or ``k`` not an integer.
    ValueError
        If the space is not square.
    """

    def __init__(self, space: odl.DiscretizedSpace, k: int) -> None:
        if not isinstance(k, (int, np.integer)):
            raise TypeError(f"k is {k!r}; expected an integer, the number of quarter turns.")
        require_square(space, ndims=(2, 3))
        super().__init__(space, space, linear=True)
        self.k = int(k) % 4

    def _call(self, u, out=None):
        turned = np.rot90(u.data, self.k, axes=(0, 1))
        if out is None:
            return self.range.element(np.ascontiguousarray(turned))
        out.data[...] = turned.copy() if np.shares_memory(turned, out.data) else turned

    @property
    def adjoint(self) -> "QuarterTurn":
        """The rotation back."""
        return QuarterTurn(self.domain, -self.k)

    @property
    def inverse(self) -> "QuarterTurn":
        """The rotation back."""
        return self.adjoint


class Reflection(odl.Operator):
    r"""Reflection of an image about its center along one axis.

    .. math:: (g u)(x) = u(x_1, \dots, 2 c_i - x_i, \dots, x_d),

    where ``c`` is the center of the domain and ``i`` the axis. Exact: it only permutes the pixels.
    It is its own adjoint and its own inverse.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, in any number of dimensions.
    axis : int
        The axis that changes direction: 0 swaps left and right, 1 top and bottom.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization.
    ValueError
        If the space has no such axis.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [2, 3], (2, 3))
    >>> flip = operators.Reflection(X, axis=1)
    >>> print(flip([[1, 2, 3], [4, 5, 6]]).data)
    [[3. 2. 1.]
     [6. 5. 4.]]
    """

    def __init__(self, space: odl.DiscretizedSpace, axis: int) -> None:
        require_pixels(space)
        if not isinstance(axis, (int, np.integer)) or not -space.ndim <= axis < space.ndim:
            raise ValueError(
                f"axis is {axis!r}; expected an integer from 0 to {space.ndim - 1}, an axis of "
                f"the images, which have the shape {space.shape}."
            )
        super().__init__(space, space, linear=True)
        self.axis = int(axis) % space.ndim

    def _call(self, u, out=None):
        mirrored = np.flip(u.data, self.axis)
        if out is None:
            return self.range.element(np.ascontiguousarray(mirrored))
        out.data[...] = mirrored.copy() if np.shares_memory(mirrored, out.data) else mirrored

    @property
    def adjoint(self) -> "Reflection":
        """The reflection itself."""
        return self

    @property
    def inverse(self) -> "Reflection":
        """The reflection itself."""
        return self
