"""Orthogonal wavelet transform of images, periodized so that it is unitary."""

import numpy as np
import odl
import pywt
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_validation import require_operator
from odl_learned.operators.norms.factors import Unitary, parts_of
from odl_learned.validation import require_count
from odl_learned.weights import constant_weight


class OrthogonalWavelet(odl.Operator):
    r"""Periodized orthogonal wavelet transform, a unitary map of images to coefficients.

    .. math:: W^* W = W W^* = 1, \qquad
              W u = (\langle u, \phi_{J, k} \rangle, \langle u, \psi_{j, k} \rangle)_{j \le J} .

    Every level filters and downsamples along all axes; the next one acts on the block that is low
    along all of them. The coefficients fill an array of the shape of the image, as those of
    ``pywt.coeffs_to_array`` do: the coarsest in the corner at index zero, finer details around. The
    adjoint is the transpose to rounding, and the inverse as far as the filters of PyWavelets are
    orthogonal (``defect``, at most 1e-10).

    Parameters
    ----------
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, real or complex, of any number of axes, with a constant weight. ``2 ** nlevels``
        must divide the length of every axis.
    wavelet : str or pywt.Wavelet
        Orthogonal wavelet, such as ``"haar"``, ``"db4"`` or ``"sym4"``; see ``pywt.wavelist()``.
    nlevels : int
        Number of levels, at least one.

    Attributes
    ----------
    coarse : tuple of slice
        Where the coarsest coefficients lie in the array.
    defect : float
        Largest entry of ``W W* - 1`` for one level along one axis.

    Raises
    ------
    TypeError
        If the space is not on numpy and constantly weighted, or the wavelet is not one.
    ValueError
        If the wavelet is not orthogonal or a length is not divisible.

    References
    ----------
    S. Mallat, *A Wavelet Tour of Signal Processing*, third edition (2009), sections 7.3 and 7.5.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> W = operators.OrthogonalWavelet(X, "haar", nlevels=2)
    >>> u = odl.phantom.shepp_logan(X)
    >>> print(f"{W(u).norm() / u.norm():.6f}")
    1.000000
    >>> isinstance(W.adjoint, operators.OrthogonalWaveletAdjoint)
    True
    >>> (W.adjoint(W(u)) - u).norm() < 1e-12  # the adjoint is the inverse
    True
    """

    def __init__(self, space: TensorSpace, wavelet: str | pywt.Wavelet, nlevels: int) -> None:
        weight = constant_weight("space", space)
        if space.impl != "numpy":
            raise TypeError(f"space is {space!r}, expected one on numpy; build it with "
                            "odl.uniform_discr, odl.rn or odl.cn.")
        require_count("nlevels", nlevels, most=max(space.shape, default=1).bit_length())
        self.wavelet, self.nlevels = _wavelet(wavelet), int(nlevels)
        self.defect = _defect(self.wavelet)
        if self.defect > 1e-10:
            raise ValueError(
                f"wavelet {self.wavelet.name!r} misses orthogonality by {self.defect:.1e}, expected"
                " at most 1e-10; choose another one, such as 'db4', 'sym4' or 'coif2'."
            )
        if any(n == 0 or n % 2**self.nlevels for n in space.shape):
            raise ValueError(
                f"space has shape {space.shape}, expected multiples of {2**self.nlevels}, two to "
                f"the power of nlevels = {nlevels}; lower nlevels, or crop or pad the images."
            )
        coefficients = odl.tensor_space(
            space.shape, dtype=space.dtype_identifier, weighting=weight
        )
        super().__init__(space, coefficients, linear=True)
        self.coarse = tuple(slice(n >> self.nlevels) for n in space.shape)

    def _call(self, u):
        result = u.data.copy()
        for block in _blocks(self):
            values = result[block]
            for axis in range(values.ndim):
                bands = pywt.dwt(values, self.wavelet, "periodization", axis)
                values = np.concatenate(bands, axis)
            result[block] = values
        return self.range.element(result)

    def details(self, level: int) -> odl.Operator:
        """Return the operator to the details of one level, all other coefficients zero.

        Parameters
        ----------
        level : int
            From 0, the finest, to ``nlevels - 1``.

        Returns
        -------
        operator : odl.Operator
            From images to the space of coefficients.

        Raises
        ------
        TypeError, ValueError
            If there is no such level.
        """
        require_count("level", level, 0, self.nlevels - 1)
        kept = np.zeros(self.range.shape)
        kept[tuple(slice(n >> level) for n in self.range.shape)] = 1
        kept[tuple(slice(n >> (level + 1)) for n in self.range.shape)] = 0
        mask = self.range.element(kept.astype(self.range.dtype))
        return odl.MultiplyOperator(mask, domain=self.range, range=self.range) @ self

    @property
    def adjoint(self) -> "OrthogonalWaveletAdjoint":
        """The adjoint, which is the inverse."""
        return OrthogonalWaveletAdjoint(self)

    @property
    def inverse(self) -> "OrthogonalWaveletAdjoint":
        """The inverse, which is the adjoint."""
        return self.adjoint


class OrthogonalWaveletAdjoint(odl.Operator):
    r"""Adjoint and inverse of `OrthogonalWavelet`: images from coefficients.

    .. math:: W^* c = \sum_k c_k \phi_{J, k} + \sum_{j \le J, k} c_{j, k} \psi_{j, k}

    Parameters
    ----------
    transform : OrthogonalWavelet
        The transform ``W``; it is the adjoint and the inverse of this one.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, transform: OrthogonalWavelet) -> None:
        require_operator("transform", transform, OrthogonalWavelet,
                         "take the property adjoint of one.")
        super().__init__(transform.range, transform.domain, linear=True)
        self.transform = transform

    def _call(self, c):
        result = c.data.copy()
        for block in reversed(_blocks(self.transform)):
            values = result[block]
            for axis in range(values.ndim):
                low, high = np.split(values, 2, axis)
                values = pywt.idwt(low, high, self.transform.wavelet, "periodization", axis)
            result[block] = values
        return self.range.element(result)

    @property
    def adjoint(self) -> OrthogonalWavelet:
        """The transform."""
        return self.transform

    @property
    def inverse(self) -> OrthogonalWavelet:
        """The transform."""
        return self.transform


def _wavelet(wavelet):
    """Return an orthogonal pywt.Wavelet."""
    if isinstance(wavelet, str):
        if wavelet not in pywt.wavelist(kind="discrete"):
            raise ValueError(
                f"wavelet is {wavelet!r}, expected the name of a discrete wavelet, one of "
                "pywt.wavelist(kind='discrete'), such as 'haar', 'db4' or 'sym4'."
            )
        wavelet = pywt.Wavelet(wavelet)
    if not isinstance(wavelet, pywt.Wavelet):
        raise TypeError(f"wavelet is {wavelet!r}, expected a name such as 'db4' or a pywt.Wavelet.")
    if not wavelet.orthogonal:
        raise ValueError(
            f"wavelet {wavelet.name!r} is not orthogonal; choose one of the families haar, db, sym "
            "and coif, or use odl.trafos.WaveletTransform for a biorthogonal one."
        )
    return wavelet


def _defect(wavelet):
    """Return the largest entry of W W* - 1, for one level of a signal without wrapping around."""
    signal = np.eye(2 * wavelet.dec_len)
    matrix = np.concatenate(pywt.dwt(signal, wavelet, "periodization", 0))
    return float(np.abs(matrix @ matrix.T - signal).max())


def _blocks(transform):
    """Return the block on which each level acts, the finest first."""
    shape = transform.domain.shape
    return [tuple(slice(n >> j) for n in shape) for j in range(transform.nlevels)]


@parts_of.register
def _(op: OrthogonalWavelet):
    return [Unitary(base=op)]
