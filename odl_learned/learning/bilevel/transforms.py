r"""Linear maps ``D`` from images to groups of coefficients, for energies in closed form.

A transform maps ``x`` of shape ``(B, *shape)``, real or complex, to coefficients of shape
``(B, d, *shape)``. Its groups are the vectors of ``d`` coefficients at one place. The adjoint is
the transpose, in the Euclidean inner product.
"""

import abc
import math

import odl  # noqa: F401  (before scipy, whose array API it switches on)
import scipy.fft
import torch

from odl_learned.learning.bilevel.perron import POWERS, perron_bound
from odl_learned.learning.bilevel.tridiagonal import Tridiagonal


class Transform(abc.ABC):
    """A linear map to groups of coefficients, with norms and its spectrum.

    Parameters
    ----------
    shape : tuple of int
        Of images.
    norm, group_norm : float
        Bounds of ``|D|``, and of ``|(D x)_g| / |x|`` for all groups ``g``.
    groups : int
        Number of groups.
    """

    def __init__(self, shape, norm, group_norm, groups):
        self.shape, self.groups = tuple(shape), int(groups)
        self.norm, self.group_norm = float(norm), float(group_norm)

    @abc.abstractmethod
    def forward(self, x):
        """Return ``D x``, of shape ``(B, d, *shape)``."""

    @abc.abstractmethod
    def adjoint(self, p):
        """Return ``D^T p``, of shape ``(B, *shape)``."""

    @abc.abstractmethod
    def fourier_symbol(self, curvatures):
        """Return ``s >= 0``, ``(B, *shape)``: ``F^* s F`` is near ``D^T diag(curvatures) D``."""

    @abc.abstractmethod
    def shifted_inverse(self, shift, curvatures):
        """Return ``v -> M^-1 v`` with ``M`` near ``shift + D^T diag(curvatures) D``.

        ``shift`` is a positive float, ``curvatures`` are nonnegative, of shape
        ``(B, d, *shape)``.
        """

    def product_norm(self, curvatures, powers=POWERS):
        """Bound ``|D^T diag(curvatures) D|``, ``(B,)``, for nonnegative curvatures.

        Parameters
        ----------
        curvatures : tensor ``(B, d, *shape)``, or ``(B, 1, *shape)`` for one number per group
        powers : int, optional
            How many products it may take, where more make it tighter.
        """
        return self.norm**2 * curvatures.flatten(1).amax(1)


class _Differences(Transform):
    """Differences of neighbors along the axes.

    ``D^T diag(c) D`` has entries ``-c_j <= 0`` between neighbors. With the signs ``S`` of a
    checkerboard ``S D^T diag(c) D S`` is nonnegative and has the same norm.
    """

    def product_norm(self, curvatures, powers=POWERS):
        """Bound ``|D^T diag(curvatures) D|`` by the vector of Perron; see `perron_bound`."""
        signs = curvatures.new_ones(self.shape)
        for axis, n in enumerate(self.shape):
            alternating = 1 - 2 * (torch.arange(n, device=signs.device) % 2)
            signs = signs * alternating.reshape(-1, *[1] * (len(self.shape) - axis - 1))

        def product(u):
            return signs * self.adjoint(curvatures * self.forward(signs * u))

        return perron_bound(product, signs.expand(len(curvatures), *self.shape), powers)


class ForwardDifferences(_Differences):
    """``(D x)_i = x_{j + e_i} - x_j``, zero at the last entry of every axis (Neumann).

    The convention of ``operators.gradient`` for a grid of side one. ``D^T D`` is diagonal for the
    cosine transform DCT-II, with eigenvalues ``sum_i 4 sin(pi k_i / (2 n_i))^2``. A group is a row
    block ``[-1 I]``, whose norm squared is ``d + 1``.

    Parameters
    ----------
    shape : tuple of int
        Of images.
    """

    def __init__(self, shape):
        squares = [4 * math.cos(math.pi / (2 * n)) ** 2 for n in shape]
        super().__init__(shape, math.sqrt(sum(squares)), math.sqrt(len(shape) + 1),
                         math.prod(shape))  # fmt: skip

    def forward(self, x):
        """Return the differences along every axis."""
        ndim = x.ndim - 1
        p = x.new_zeros((x.shape[0], ndim, *x.shape[1:]))
        for i in range(ndim):
            n = x.shape[i + 1]
            torch.sub(x.narrow(i + 1, 1, n - 1), x.narrow(i + 1, 0, n - 1),
                      out=p[:, i].narrow(i + 1, 0, n - 1))  # fmt: skip
        return p

    def adjoint(self, p):
        """Return the negative divergence; the last entries of ``p`` do not count."""
        x = p.new_zeros((p.shape[0], *p.shape[2:]))
        for i in range(p.shape[1]):
            part, n = p[:, i], p.shape[i + 2]
            x.narrow(i + 1, 1, n - 1).add_(part.narrow(i + 1, 0, n - 1))
            x.narrow(i + 1, 0, n - 1).sub_(part.narrow(i + 1, 0, n - 1))
        return x

    def fourier_symbol(self, curvatures):
        """Return the symbol of periodic differences with mean curvatures along every axis."""
        return _mean_symbol(curvatures, 2 * math.pi)

    def shifted_inverse(self, shift, curvatures):
        """Divide by a symbol in the basis of the DCT-II; exact for constant curvatures."""
        symbol = shift + _mean_symbol(curvatures, math.pi)
        return lambda v: _divided_cosines(v, symbol)


class BackwardDifferences(_Differences):
    """``(D x)_j = x_j - x_{j-1}`` with ``x_{-1} = 0``, of signals ``(B, n)`` (Dirichlet left).

    The eigenvalues of ``D^T D`` are ``4 sin((2 k - 1) pi / (4 n + 2))^2`` for ``k = 1, ..., n``.

    Parameters
    ----------
    size : int
        ``n``.
    """

    def __init__(self, size):
        super().__init__((size,), 2 * math.cos(math.pi / (2 * size + 1)), math.sqrt(2), size)

    def forward(self, x):
        """Return the differences, of shape ``(B, 1, n)``."""
        p = x[:, None].clone()
        p[..., 1:] -= x[:, None, :-1]
        return p

    def adjoint(self, p):
        """Return ``p_j - p_{j+1}`` with ``p_n = 0``."""
        x = p[:, 0].clone()
        x[..., :-1] -= p[:, 0, 1:]
        return x

    def fourier_symbol(self, curvatures):
        """Return the symbol of periodic differences with the mean curvature."""
        return _mean_symbol(curvatures, 2 * math.pi)

    def shifted_inverse(self, shift, curvatures):
        """Solve the tridiagonal systems of all samples, exactly."""
        c = curvatures[:, 0]
        diagonal, side = shift + c, torch.zeros_like(c)
        diagonal[:, :-1] += c[:, 1:]
        # One long system: samples are not coupled, since the last entry of every side is zero.
        side[:, :-1] = -c[:, 1:]
        return Tridiagonal(diagonal, side)


class OrthogonalTransform(Transform):
    """A unitary transform, such as a wavelet basis, with groups of one coefficient each.

    Parameters
    ----------
    analysis, synthesis : callable
        ``W`` and its adjoint, its inverse, on tensors ``(B, *shape)``: for example ``as_module(W)``
        and ``as_module(W.adjoint)`` of `bridge` for ``W = operators.OrthogonalWavelet(...)``.
    shape : tuple of int
        Of images and coefficients.
    """

    def __init__(self, analysis, synthesis, shape):
        super().__init__(shape, 1.0, 1.0, math.prod(shape))
        self._analysis, self._synthesis = analysis, synthesis

    def forward(self, x):
        """Return ``W x``, of shape ``(B, 1, *shape)``."""
        with torch.no_grad():
            return self._analysis(x)[:, None]

    def adjoint(self, p):
        """Return ``W^* p``."""
        with torch.no_grad():
            return self._synthesis(p[:, 0])

    def fourier_symbol(self, curvatures):
        """Return the mean curvature: ``W^* W = 1``."""
        axes = tuple(range(2, curvatures.ndim))
        return curvatures.mean(axes, keepdim=True)[:, 0].expand(-1, *curvatures.shape[2:])

    def shifted_inverse(self, shift, curvatures):
        """Divide the coefficients, exactly."""
        factors = 1 / (shift + curvatures)
        return lambda v: self.adjoint(self.forward(v).mul_(factors))


class Separate(Transform):
    """A transform with all coefficients on their own, groups of one: anisotropic variation.

    Coefficients have the shape ``(B, 1, d, *shape)``.

    Parameters
    ----------
    transform : Transform
    """

    def __init__(self, transform):
        groups = transform.groups * len(transform.shape)
        super().__init__(transform.shape, transform.norm, transform.group_norm, groups)
        self.transform = transform

    def forward(self, x):
        """Return ``D x``."""
        return self.transform.forward(x)[:, None]

    def adjoint(self, p):
        """Return ``D^T p``."""
        return self.transform.adjoint(p[:, 0])

    def fourier_symbol(self, curvatures):
        """Return the one of the transform."""
        return self.transform.fourier_symbol(curvatures[:, 0])

    def shifted_inverse(self, shift, curvatures):
        """Return the one of the transform."""
        return self.transform.shifted_inverse(shift, curvatures[:, 0])

    def product_norm(self, curvatures, powers=POWERS):
        """Return the one of the transform."""
        return self.transform.product_norm(curvatures[:, 0], powers)


def _mean_symbol(curvatures, step):
    """``sum_i c_i 4 sin(w_i / 2)^2``, ``(B, *shape)``, ``w_i = step k / n`` along axis ``i``."""
    shape, symbol = curvatures.shape[2:], 0.0
    for i, n in enumerate(shape):
        means = curvatures[:, i].mean(tuple(range(1, curvatures.ndim - 1)), keepdim=True)
        part = 4 * torch.sin(step / 2 * torch.arange(n, dtype=torch.float64) / n) ** 2
        symbol = symbol + means * part.reshape(-1, *[1] * (len(shape) - i - 1)).to(curvatures)
    return symbol


def _divided_cosines(v, symbol):
    if v.is_complex():
        return torch.complex(_divided_cosines(v.real, symbol), _divided_cosines(v.imag, symbol))
    axes = tuple(range(1, v.ndim))
    spectrum = scipy.fft.dctn(v.cpu().numpy(), axes=axes, norm="ortho")
    spectrum /= symbol.cpu().numpy()
    result = scipy.fft.idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True)
    return torch.from_numpy(result).to(v)
