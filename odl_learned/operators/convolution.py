"""Convolution with a point spread function, the forward operator of deblurring."""

import math
from collections.abc import Sequence

import numpy as np
import odl
from numpy.typing import ArrayLike

from odl_learned.odl_validation import shown
from odl_learned.operators.extensions import ReflectedExtension, _zero_extension
from odl_learned.operators.group import require_pixels
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier
from odl_learned.validation import require_finite, require_positive

#: Largest number of entries of a Gaussian kernel, half a gigabyte of them.
LARGEST_KERNEL = 2**26


def _kernel_for(space, kernel):
    """The kernel as an array of the precision of a space, with a pixel in its center."""
    require_pixels(space)
    kernel = np.asarray(kernel)
    require_finite("kernel", kernel)
    if kernel.ndim != space.ndim or not all(size % 2 for size in kernel.shape):
        raise ValueError(
            f"kernel has shape {kernel.shape}, expected {space.ndim} odd numbers, so that a pixel "
            "is its center; append a row or a column of zeros, or use "
            "operators.gaussian_kernel(space, standard_deviation)."
        )
    if np.iscomplexobj(kernel) and not np.issubdtype(space.dtype, np.complexfloating):
        raise TypeError(
            f"kernel is complex, of dtype {kernel.dtype}, and space real, of dtype {space.dtype}; "
            "expected a real kernel. Pass its real part or build the space with "
            "dtype='complex128'."
        )
    return kernel


def _reversed(kernel):
    """The kernel of the adjoint."""
    return np.conj(np.flip(kernel))


class PeriodicConvolution(FourierMultiplier):
    r"""Convolution with a centered kernel; images continue periodically.

    .. math:: (A u)_j = \sum_k h_k \, u_{j - k}, \qquad A = F^{-1} \hat h F, \qquad
              |A| = \max_\omega |\hat h_\omega| .

    The sum is over pixels, without a cell volume: a kernel of sum one keeps the mean. The adjoint
    is the convolution with ``conj(h_{-k})``.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, in any number of dimensions.
    kernel : array with ``space.ndim`` axes of odd lengths
        The numbers ``h``; the entry in the middle has the index ``k = 0``.

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization, or the kernel complex on a real
        space.
    ValueError
        If the kernel is not finite or its shape not as above.
    """

    def __init__(self, space: odl.DiscretizedSpace, kernel: ArrayLike) -> None:
        kernel = _kernel_for(space, kernel)
        self.kernel = kernel
        wrapped = np.zeros(space.shape, dtype=np.result_type(kernel.dtype, np.float64))
        places = [
            (np.arange(size) - size // 2) % n
            for size, n in zip(kernel.shape, space.shape, strict=True)
        ]
        np.add.at(wrapped, np.ix_(*places), kernel)
        super().__init__(space, np.fft.fftn(wrapped), range(space.ndim))

    @property
    def adjoint(self) -> "PeriodicConvolution":
        """The convolution with the reversed kernel."""
        return PeriodicConvolution(self.domain, _reversed(self.kernel))


class ZeroConvolution(odl.OperatorComp):
    r"""Convolution with a centered kernel; images are zero outside of the domain.

    .. math:: (A u)_j = \sum_k h_k \, u_{j - k}, \qquad u_j = 0 \text{ outside.}

    An expression: zeros are appended, `PeriodicConvolution` applied, and the margin cut off.

    Parameters
    ----------
    space, kernel
        As for `PeriodicConvolution`.

    Raises
    ------
    TypeError, ValueError
        As `PeriodicConvolution`.
    """

    def __init__(self, space: odl.DiscretizedSpace, kernel: ArrayLike) -> None:
        self.kernel = _kernel_for(space, kernel)
        margin = [size // 2 for size in self.kernel.shape]
        extend = _zero_extension(space, margin)
        blur = PeriodicConvolution(extend.range, self.kernel)
        super().__init__(odl.OperatorComp(extend.adjoint, blur), extend)


class ReflectingConvolution(odl.OperatorComp):
    r"""Convolution with a centered kernel; images continue by reflection at their border.

    .. math:: (A u)_j = \sum_k h_k \, u_{j - k}, \qquad u_{-1-j} = u_j, \quad u_{n+j} = u_{n-1-j} .

    The border lies between the pixels, as for the Neumann differences of `gradient`; constants
    stay constant, and for symmetric kernels of sum one the mean of every image is kept. An
    expression: the image is extended by `ReflectedExtension`, `PeriodicConvolution` applied, and
    the margin cut off.

    Parameters
    ----------
    space, kernel
        As for `PeriodicConvolution`; the kernel reaches no farther than the image is wide.

    Raises
    ------
    TypeError, ValueError
        As `PeriodicConvolution`, and if the kernel is too large.
    """

    def __init__(self, space: odl.DiscretizedSpace, kernel: ArrayLike) -> None:
        self.kernel = _kernel_for(space, kernel)
        margin = [size // 2 for size in self.kernel.shape]
        if any(m > n for m, n in zip(margin, space.shape, strict=True)):
            raise ValueError(
                f"kernel has shape {self.kernel.shape}, expected at most "
                f"{tuple(2 * n + 1 for n in space.shape)} for images of shape {space.shape}, "
                "which are reflected once; cut the kernel."
            )
        extend = ReflectedExtension(space, margin)
        crop = _zero_extension(space, margin).adjoint
        blur = PeriodicConvolution(extend.range, self.kernel)
        super().__init__(odl.OperatorComp(crop, blur), extend)


def gaussian_kernel(
    space: odl.DiscretizedSpace, standard_deviation: float | Sequence[float] | np.ndarray
) -> np.ndarray:
    r"""Return a Gaussian kernel of sum one, cut off at four standard deviations.

    .. math:: h_k \sim \prod_i \exp \Big( - \frac{(k_i \, \Delta_i)^2}{2 s_i^2} \Big),
              \qquad |k_i \, \Delta_i| \le 4 s_i,

    with the cell sides :math:`\Delta_i` of the space.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images.
    standard_deviation : float or sequence of float, one for each axis
        The width ``s`` in the units of the space, positive.

    Returns
    -------
    kernel : float64 array with ``space.ndim`` axes of odd lengths

    Raises
    ------
    TypeError
        If the space is not a constantly weighted discretization.
    ValueError
        If a width is not positive or their number not that of the axes.
    """
    require_pixels(space)
    widths = np.asarray(standard_deviation)
    if widths.dtype.kind not in "iuf" or (widths.ndim and widths.shape != (space.ndim,)):
        raise ValueError(
            f"standard_deviation is {shown(standard_deviation)}, expected one number or "
            f"{space.ndim}, one for each axis of `space`."
        )
    kernel = np.ones(())
    for side, width in zip(
        space.cell_sides, np.broadcast_to(widths, (space.ndim,)).tolist(), strict=True
    ):
        require_positive("standard_deviation", width)
        if kernel.size * (8 * width / side + 1) > LARGEST_KERNEL:
            raise ValueError(
                f"standard_deviation is {shown(standard_deviation)}, so that the kernel has more "
                f"than {LARGEST_KERNEL} entries, with pixels of the sides "
                f"{space.cell_sides.tolist()}; expected less than the width of the images, in the "
                "units of the space."
            )
        radius = math.floor(4 * width / side)
        profile = np.exp(-((np.arange(-radius, radius + 1) * side / width) ** 2) / 2)
        kernel = np.multiply.outer(kernel, profile / profile.sum())
    return kernel
