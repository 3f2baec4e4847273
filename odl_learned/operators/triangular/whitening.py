"""The factor ``L^T`` of a sparse precision as an operator, its adjoint, and their inverses."""

import numpy as np
import odl
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import ArrayLike

from odl_learned.odl_validation import require_array_space, require_operator, shown
from odl_learned.operators.triangular.neighborhood import Neighborhood
from odl_learned.validation import require_finite, require_real, require_shape
from odl_learned.weights import component_weights, entry_weights, unweigh, weigh


class Whitening(odl.Operator):
    r"""A sparse triangular operator of images, which makes white noise of samples.

    .. math:: (L^T u)_i = e^{l_i} \Big( u_i + \sum_{k \in N_d} b_{k,i} \, u_{i+k} \Big)

    with the later neighbors ``N_d`` of a pixel in raster order, see `Neighborhood`: upper
    triangular, with diagonal ``e^l``. A sample with precision ``P = L L^T`` is, pixel by pixel from
    the last one on, ``-sum_k b_k u_{i+k}`` and independent noise of standard deviation ``e^-l``:
    ``-b`` are the coefficients of a regression on the later neighbors. Entries that point outside
    of the image, or into or out of the mask, are zero. Pixels are counted, whatever the cell sides.
    The operator acts on arrays; the adjoint ``W^-1 L W`` is that of the inner product with weights
    ``W``.

    Parameters
    ----------
    space : ``uniform_discr``, ``rn`` or ``cn`` space of shape ``(H, W)``, or a power of one
        Images, real or complex, on numpy; a power has channels.
    log_diagonal : array of real numbers ``(H, W)``, or ``(C, H, W)`` with channels
        ``l``.
    neighbors : array of real numbers ``(K, H, W)``
        ``b``, with ``K = len(Neighborhood(radius, C))``, in the order of its ``terms``.
    radius : int
        ``d``: 0 for a diagonal, 1 for windows 3 x 3, 2 for 5 x 5.
    mask : array of bool ``(H, W)``, optional
        Pixels that depend on each other; all others are independent of them, and of each other.

    Raises
    ------
    TypeError
        If the space is not one of images on numpy, or an array is complex.
    ValueError
        If an array is not finite or has another shape, or the diagonal of the precision or of its
        inverse, ``e^{+-2l}``, would overflow.

    Source: Dorta et al., Structured uncertainty prediction networks (2018), section 3; Duff,
    Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to compressed sensing
    MRI (2023).

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [3, 3], (3, 3))
    >>> neighbors = np.full((4, 3, 3), -0.2)
    >>> W = operators.Whitening(X, np.zeros((3, 3)), neighbors, radius=1)
    >>> white = odl.phantom.white_noise(X, seed=0)
    >>> sample = operators.Unwhitening(W)(white)  # correlated
    >>> print((W(sample) - white).norm() < 1e-12)
    True
    >>> isinstance(W.adjoint, operators.WhiteningAdjoint)
    True
    >>> isinstance(operators.Unwhitening(W).adjoint, operators.UnwhiteningAdjoint)
    True
    """

    def __init__(
        self,
        space: odl.LinearSpace,
        log_diagonal: ArrayLike,
        neighbors: ArrayLike,
        radius: int,
        mask: np.ndarray | None = None,
    ) -> None:
        channels, shape = _images(space)
        hood = Neighborhood(radius, channels)
        powers = (channels,) if isinstance(space, odl.ProductSpace) else ()
        for name, array, expected in (("log_diagonal", log_diagonal, (*powers, *shape)),
                                      ("neighbors", neighbors, (len(hood), *shape))):
            require_finite(name, array)
            require_real(name, array)
            require_shape(name, array, expected, "It needs an entry for every pixel, and neighbor; "
                          "see operators.triangular.Neighborhood.")
        _require_invertible(log_diagonal, _pixels(space).dtype)
        inside = hood.inside(shape, mask)
        super().__init__(space, space, linear=True)
        real = np.zeros(0, _pixels(space).dtype).real.dtype
        self.hood, self.mask = hood, None if mask is None else mask.copy()
        self.log_diagonal = np.array(log_diagonal, real)
        self.neighbors = np.where(inside, neighbors, 0).astype(real)
        indptr, indices, source = hood.structure(shape)
        scale = np.exp(self.log_diagonal.reshape(channels, *shape))
        rows = [c for c, _, _, _ in hood.terms]
        entries = np.concatenate([scale.ravel(), (scale[rows] * self.neighbors).ravel()])
        size = len(indptr) - 1
        #: ``L^T`` of images laid out ``(H, W, C)``.
        self.matrix = scipy.sparse.csr_array((entries[source], indices, indptr), (size, size))

    @property
    def log_determinant(self) -> float:
        """``log det L^T``, the sum of ``l``; that of the precision is twice as large."""
        return float(np.sum(self.log_diagonal, dtype=np.float64))

    def _call(self, u):
        return self._through(u, lambda columns: self.matrix @ columns)

    @property
    def adjoint(self) -> "WhiteningAdjoint":
        """``W^-1 L W``."""
        return WhiteningAdjoint(self)

    @property
    def inverse(self) -> "Unwhitening":
        """``L^-T``, which makes samples of white noise."""
        return Unwhitening(self)

    def _through(self, u, function):
        """An element of which the entries, as a column in the order of the matrix, are mapped."""
        if not isinstance(self.domain, odl.ProductSpace):
            return self.range.element(function(u.data.ravel()).reshape(u.shape))
        stack = np.stack([part.data for part in u], axis=-1)
        return self.range.element(list(np.moveaxis(
            function(stack.ravel()).reshape(stack.shape), -1, 0).copy()))

    def _solve(self, u, matrix, lower):
        def solution(column):
            result = scipy.sparse.linalg.spsolve_triangular(matrix, column, lower=lower)
            return result.astype(column.dtype, copy=False)

        return self._through(u, solution)


class WhiteningAdjoint(odl.Operator):
    r"""Adjoint of `Whitening`, ``W^-1 L W`` with the weights ``W`` of the space.

    Parameters
    ----------
    whitening : Whitening

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, whitening: Whitening) -> None:
        _require_whitening(whitening)
        super().__init__(whitening.range, whitening.domain, linear=True)
        self.whitening = whitening

    def _call(self, v):
        w = self.whitening
        return unweigh(w._through(weigh(v), lambda columns: w.matrix.T @ columns))

    @property
    def adjoint(self) -> Whitening:
        """The operator of which this is the adjoint."""
        return self.whitening

    @property
    def inverse(self) -> "UnwhiteningAdjoint":
        """``W^-1 L^-1 W``."""
        return UnwhiteningAdjoint(self.whitening)


class Unwhitening(odl.Operator):
    r"""Inverse of `Whitening`, ``L^-T``: by a triangular solve, it makes samples of white noise.

    Parameters
    ----------
    whitening : Whitening

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, whitening: Whitening) -> None:
        _require_whitening(whitening)
        super().__init__(whitening.range, whitening.domain, linear=True)
        self.whitening = whitening

    def _call(self, v):
        return self.whitening._solve(v, self.whitening.matrix, lower=False)

    @property
    def adjoint(self) -> "UnwhiteningAdjoint":
        """``W^-1 L^-1 W``."""
        return UnwhiteningAdjoint(self.whitening)

    @property
    def inverse(self) -> Whitening:
        """The operator of which this is the inverse."""
        return self.whitening


class UnwhiteningAdjoint(odl.Operator):
    r"""Adjoint of `Unwhitening`, ``W^-1 L^-1 W`` with the weights ``W`` of the space.

    Parameters
    ----------
    whitening : Whitening

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, whitening: Whitening) -> None:
        _require_whitening(whitening)
        super().__init__(whitening.domain, whitening.range, linear=True)
        self.whitening = whitening

    def _call(self, u):
        w = self.whitening
        return unweigh(w._solve(weigh(u), w.matrix.T.tocsr(), lower=True))

    @property
    def adjoint(self) -> Unwhitening:
        """The operator of which this is the adjoint."""
        return Unwhitening(self.whitening)

    @property
    def inverse(self) -> "WhiteningAdjoint":
        """``W^-1 L W``."""
        return WhiteningAdjoint(self.whitening)


def _require_invertible(log_diagonal, dtype):
    """Raise ValueError where ``e^{+-2l}`` is no finite number of this precision."""
    most = float(np.log(np.finfo(dtype).max)) / 2
    largest = log_diagonal.ravel()[np.argmax(np.abs(log_diagonal))]
    if abs(largest) > most:
        raise ValueError(f"log_diagonal has the entry {largest:.4g}, expected at most {most:.3g} "
                         f"in modulus: precisions e^(2 l) overflow in {np.dtype(dtype)}. Bound it "
                         "where it is learned, see regularizers.generative.precision.NoiseFloor.")


def _require_whitening(whitening):
    require_operator("whitening", whitening, Whitening, "build it with "
                     "Whitening(space, log_diagonal, neighbors, radius).")


def _pixels(space):
    return space[0] if isinstance(space, odl.ProductSpace) and len(space) else space


def _images(space):
    """The number of channels, and the shape of an image."""
    pixels, channels = _pixels(space), 1
    if isinstance(space, odl.ProductSpace):
        channels = len(space)
        if not (channels and space.is_power_space):
            raise TypeError(f"space is {shown(space)}, expected images, or a power of a space of "
                            "images: all channels are alike.")
        component_weights(space)
    require_array_space("space", pixels)
    if pixels.impl != "numpy" or len(pixels.shape) != 2:
        raise TypeError(f"space is {shown(space)}, expected images with two axes on numpy; build "
                        "it with odl.uniform_discr(min_pt, max_pt, (H, W)).")
    entry_weights(pixels)
    return channels, tuple(pixels.shape)
