"""Quarter turns of the plane, acting on images."""

import numpy as np
import odl


class QuarterTurn(odl.Operator):
    r"""Rotation of an image by ``k`` quarter turns counterclockwise about its center.

    .. math:: (g u)(x) = u(R^{-1} x), \qquad R = \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix}^k,

    where axis 0 is x and axis 1 is y, pointing up. Exact: it only permutes the pixels. The adjoint
    is the inverse is the rotation by ``-k``; ``k`` counts modulo 4.

    Parameters
    ----------
    space : 2D ``uniform_discr`` space
        Images, real or complex, with as many points and equal cell sides along both axes.
    k : int
        Number of quarter turns.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization or ``k`` not an integer.
    ValueError
        If the space is not square.
    """

    def __init__(self, space, k):
        if not isinstance(space, odl.DiscretizedSpace) or not hasattr(space.weighting, "const"):
            raise TypeError(
                f"space is {space!r}; expected a 2D uniform discretization with constant weight, "
                "built with odl.uniform_discr(min_pt, max_pt, (n, n))."
            )
        if not isinstance(k, (int, np.integer)):
            raise TypeError(f"k is {k!r}; expected an integer, the number of quarter turns.")
        if space.ndim != 2 or space.shape[0] != space.shape[1]:
            raise ValueError(
                f"space has shape {space.shape}, expected (n, n): a quarter turn must map the grid "
                "to itself. Crop or pad the images to a square."
            )
        if not np.isclose(space.cell_sides[0], space.cell_sides[1], rtol=1e-6, atol=0):
            raise ValueError(
                f"space has cell sides {space.cell_sides.tolist()}, expected equal ones: a quarter "
                "turn must map the grid to itself. Choose a square domain."
            )
        super().__init__(space, space, linear=True)
        self.k = int(k) % 4

    def _call(self, u, out=None):
        turned = np.rot90(u.data, self.k, axes=(0, 1))
        if out is None:
            return self.range.element(np.ascontiguousarray(turned))
        out.data[...] = turned.copy() if np.shares_memory(turned, out.data) else turned

    @property
    def adjoint(self):
        """The rotation back."""
        return QuarterTurn(self.domain, -self.k)

    @property
    def inverse(self):
        """The rotation back."""
        return self.adjoint
