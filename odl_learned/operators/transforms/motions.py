"""Translations and rotations by any amount, unitary by Fourier interpolation."""

import functools
import math
from collections.abc import Sequence

import numpy as np
import odl

from odl_learned.odl_validation import require_index
from odl_learned.operators.group import QuarterTurn, require_pixels, require_square
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier, shift_multiplier
from odl_learned.validation import (
    is_finite_number,
    require_finite,
    require_real,
    require_shape,
    shown,
)

#: Shifts this close to a whole number of pixels, and angles this close to a quarter turn, are one.
ROUNDING = 1e-9


class Translation(FourierMultiplier):
    r"""Translation of periodic images by any vector.

    .. math:: (g u)(x) = u(x - t) .

    What leaves on one side comes back on the other one. Whole numbers of pixels only permute the
    pixels; in between, images are trigonometric polynomials, so that smooth ones are shifted with
    spectral accuracy. The adjoint is the inverse is the translation by ``-t``.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, in any number of dimensions.
    shift : float or sequence of float, one for each axis
        The vector ``t``, in the units of the space.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization.
    ValueError
        If the shift has not one finite number for each axis.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [1, 4], (1, 4))
    >>> T = operators.Translation(X, shift=[0, 1.0])
    >>> print(T([[1, 2, 3, 4]]).data.round(6))
    [[4. 1. 2. 3.]]
    """

    def __init__(self, space: odl.DiscretizedSpace, shift: float | Sequence[float]) -> None:
        require_pixels(space)
        shift = np.atleast_1d(np.asarray(shift))
        require_shape("shift", shift, (space.ndim,), "It needs one number for each axis.")
        require_finite("shift", shift)
        require_real("shift", shift)
        pixels = shift / space.cell_sides
        whole = np.round(pixels)
        near = np.abs(pixels - whole) <= ROUNDING * np.maximum(1, np.abs(whole))
        pixels = np.where(near, whole, pixels)
        self.shift = tuple(map(float, shift))
        self.pixels = tuple(map(float, pixels))
        multiplier = np.ones(())
        if not self.is_whole:
            factors = [shift_multiplier(n, s) for n, s in zip(space.shape, pixels, strict=True)]
            multiplier = functools.reduce(np.multiply.outer, factors)
        super().__init__(space, multiplier, range(space.ndim))

    @property
    def is_whole(self) -> bool:
        """Whether the shift is by whole pixels along every axis, so that it permutes them."""
        return all(number.is_integer() for number in self.pixels)

    def _call(self, u, out=None):
        if not self.is_whole:
            return super()._call(u, out)
        shifted = np.roll(u.data, [int(number) for number in self.pixels], axis=self.axes)
        if out is None:
            return self.range.element(shifted)
        out.data[...] = shifted

    @property
    def adjoint(self) -> "Translation":
        """The translation back."""
        return Translation(self.domain, [-number for number in self.shift])

    @property
    def inverse(self) -> "Translation":
        """The translation back."""
        return self.adjoint


class Shear(FourierMultiplier):
    r"""Shear of periodic images in the plane, every line of pixels shifted along itself.

    .. math:: (g u)(x) = u(x - s \, (x_j - c_j) \, e_i), \qquad j \ne i,

    where ``c`` is the center of the domain and ``i`` the axis. Unitary, as `Translation`.

    Parameters
    ----------
    space : 2D ``uniform_discr`` space
    axis : int
        The direction ``i`` of the shear, 0 or 1.
    slope : float
        The number ``s``.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization.
    ValueError, IndexError
        If it is not one of the plane, there is no such axis, or the slope is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (16, 16))
    >>> S = operators.Shear(X, axis=0, slope=0.5)
    >>> back = operators.Shear(X, axis=0, slope=-0.5)
    >>> u = X.element(lambda x: np.exp(-8 * (x[0] ** 2 + x[1] ** 2)))
    >>> print((back(S(u)) - u).norm() < 1e-12)
    True
    """

    def __init__(self, space: odl.DiscretizedSpace, axis: int, slope: float) -> None:
        require_pixels(space)
        if space.ndim != 2:
            raise ValueError(f"space has {space.ndim} dimensions, expected 2: lines of the plane "
                             "are shifted along themselves.")
        require_index("axis", axis, 2, "an axis")
        if not is_finite_number(slope):
            raise ValueError(f"slope is {shown(slope)}, expected a finite number.")
        axis %= 2
        n, sides = space.shape[1 - axis], space.cell_sides
        lines = (np.arange(n) - (n - 1) / 2) * float(sides[1 - axis] / sides[axis])
        multiplier = shift_multiplier(space.shape[axis], slope * lines)
        super().__init__(space, multiplier.T if axis == 0 else multiplier, (axis,))
        self.axis, self.slope = axis, slope

    @property
    def adjoint(self) -> "Shear":
        """The shear back."""
        return Shear(self.domain, self.axis, -self.slope)

    @property
    def inverse(self) -> "Shear":
        """The shear back."""
        return self.adjoint


class Rotation(odl.OperatorComp):
    r"""Rotation of an image by any angle counterclockwise about its center.

    .. math:: (g u)(x) = u(R^{-1} x), \qquad R = \begin{pmatrix} \cos \varphi & -\sin \varphi \\
              \sin \varphi & \cos \varphi \end{pmatrix} .

    The nearest number of quarter turns is exact; the rest, of at most 45 degrees, is three shears,

    .. math:: R = \begin{pmatrix} 1 & -\tan \frac\varphi2 \\ 0 & 1 \end{pmatrix}
                  \begin{pmatrix} 1 & 0 \\ \sin \varphi & 1 \end{pmatrix}
                  \begin{pmatrix} 1 & -\tan \frac\varphi2 \\ 0 & 1 \end{pmatrix},

    each a unitary shift of lines by Fourier interpolation. So the operator is unitary: its adjoint
    is its inverse, and nothing is lost however often an image is turned. Angles add up with
    spectral accuracy for smooth images that vanish outside of the disk of 9/10 of half the width;
    what lies farther out wraps around. Sharp edges ring, as with any band-limited interpolation.

    Parameters
    ----------
    space : 2D ``uniform_discr`` space
        Images, real or complex, with as many points and equal cell sides along both axes.
    angle : float
        The angle in radians.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization.
    ValueError
        If the space is not square or the angle not finite.

    References
    ----------
    Unser, M., Thevenaz, P. and Yaroslavsky, L. Convolution-based interpolation for fast,
    high-quality rotation of images. IEEE Trans. Image Process. 4 (1995), section III.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (32, 32))
    >>> u = X.element(lambda x: np.exp(-8 * ((x[0] - 0.3) ** 2 + x[1] ** 2)))
    >>> R = operators.Rotation(X, np.pi / 2)
    >>> turned = X.element(lambda x: np.exp(-8 * (x[0] ** 2 + (x[1] - 0.3) ** 2)))
    >>> print((R(u) - turned).norm() < 1e-2 * u.norm(), f"{R(u).norm() / u.norm():.6f}")
    True 1.000000
    """

    def __init__(self, space: odl.DiscretizedSpace, angle: float) -> None:
        require_square(space, "rotation")
        if not is_finite_number(angle):
            raise ValueError(f"angle is {angle!r}; expected a finite number, in radians.")
        quarters = round(angle / (math.pi / 2))
        rest = angle - quarters * (math.pi / 2)
        self.angle = float(angle)
        super().__init__(_small_rotation(space, rest), QuarterTurn(space, quarters))


def _small_rotation(space, angle):
    if abs(angle) <= ROUNDING:
        return odl.IdentityOperator(space)
    # (g u)(x) = u(S^-1 x) for the matrix S of a shear is u(x - s x_j e_i): s is its entry (i, j).
    across = Shear(space, 0, -math.tan(angle / 2))
    return odl.OperatorComp(odl.OperatorComp(across, Shear(space, 1, math.sin(angle))), across)


class RotoTranslation(odl.OperatorComp):
    r"""Rigid motion of an image: rotation about its center, then translation.

    .. math:: (g u)(x) = u(R^{-1} (x - t)), \qquad g_1 g_2 \sim (R_1 R_2, \ t_1 + R_1 t_2) .

    Parameters
    ----------
    space : 2D ``uniform_discr`` space
        Images, real or complex, with as many points and equal cell sides along both axes.
    angle : float
        The angle of the rotation `Rotation` in radians.
    shift : sequence of two floats
        The vector ``t`` of the `Translation`, in the units of the space.

    Raises
    ------
    TypeError, ValueError
        As `Rotation` and `Translation`.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (32, 32))
    >>> u = X.element(lambda x: np.exp(-20 * (x[0] ** 2 + x[1] ** 2)))
    >>> M = operators.RotoTranslation(X, angle=0.3, shift=[0.25, 0])
    >>> moved = X.element(lambda x: np.exp(-20 * ((x[0] - 0.25) ** 2 + x[1] ** 2)))
    >>> print((M(u) - moved).norm() < 1e-2 * u.norm())
    True
    """

    def __init__(self, space: odl.DiscretizedSpace, angle: float, shift: Sequence[float]) -> None:
        super().__init__(Translation(space, shift), Rotation(space, angle))
        self.angle, self.shift = self.right.angle, self.left.shift
