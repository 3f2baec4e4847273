r"""Fidelities ``1/2 sum_j w_j |(A x - y)_j|^2`` of energies in closed form.

``x`` has the shape ``(B, *shape)``, data ``(B, *data shape)``, weights the shape of the data of one
sample, or None for ones.
"""

from collections.abc import Callable
from typing import Protocol

import torch

from odl_learned.energies.coefficients.functions import Coefficients


class Spectrum(Protocol):
    """What fidelities ask of a `Transform` D for preconditioners."""

    def fourier_symbol(self, curvatures: torch.Tensor) -> torch.Tensor: ...

    def shifted_inverse(
        self, shift: float, curvatures: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]: ...


class Fidelity(Protocol):
    """What `VariationEnergy` asks of a fidelity: `Denoising`, `FourierSampling` or another one."""

    rounding: float

    def forward(self, x: torch.Tensor) -> torch.Tensor: ...

    def adjoint(self, r: torch.Tensor, like: torch.Tensor) -> torch.Tensor: ...

    def preconditioner(
        self, weights: torch.Tensor | None, transform: Spectrum, curvatures: torch.Tensor, xi: float
    ) -> Callable[[torch.Tensor], torch.Tensor]: ...


class Denoising:
    """``A = 1``: denoising, or inpainting where some weights are zero.

    Attributes
    ----------
    rounding : float
        Relative error of ``A^* w (A x - y)`` in the norm, in units of rounding.
    """

    rounding = 4.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``A x``."""
        return x

    def adjoint(self, r: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return ``A^* r``, real or complex as ``like``."""
        return r

    def proximal(
        self, z: torch.Tensor, step: float, data: torch.Tensor, c: Coefficients
    ) -> torch.Tensor:
        """Return the minimizer of ``|x - z|^2 / (2 step)``, fidelity and ``xi/2 |x|^2``."""
        weights = 1.0 if c.weights is None else c.weights
        return (z + step * weights * data) / (1 + step * (weights + c.xi))

    def preconditioner(
        self, weights: torch.Tensor | None, transform: Spectrum, curvatures: torch.Tensor, xi: float
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``v -> M^-1 v`` with ``M`` near ``w + D^T diag(curvatures) D + xi``."""
        shift = (1.0 if weights is None else float(weights.mean())) + float(xi)
        return transform.shifted_inverse(shift, curvatures)


class FourierSampling:
    """``A = F``, the unitary discrete Fourier transform without centering, zero frequency first.

    For real images the adjoint is that of real-linear maps, ``r -> Re F^* r``.

    Attributes
    ----------
    rounding : float
        As of `Denoising`: the error of a pair of transforms grows with ``log2`` of the size, and
        each level adds about one unit; 40 is enough for ``2^20`` entries.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> energy = energies.VariationEnergy(
    ...     energies.FourierSampling(), transforms.Separate(transforms.ForwardDifferences((4, 4))),
    ...     potentials.HuberPotential(), coefficients.squared_weights((4, 4), nu=0.1, xi=0.1))
    >>> params = torch.ones(17, dtype=torch.float64)  # 16 samples, and alpha
    >>> x = torch.ones(1, 4, 4, dtype=torch.complex128)
    >>> y = torch.fft.fftn(x, dim=(1, 2), norm="ortho")
    >>> print(energy.value(x, params, y))  # xi/2 |x|^2 is left
    tensor([0.8000], dtype=torch.float64)
    """

    rounding = 40.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``F x``, of the shape of ``x``, complex."""
        return torch.fft.fftn(x, dim=tuple(range(1, x.ndim)), norm="ortho")

    def adjoint(self, r: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return ``F^* r``, or its real part if ``like`` is real."""
        result = torch.fft.ifftn(r, dim=tuple(range(1, r.ndim)), norm="ortho")
        return result if like.is_complex() else result.real

    def proximal(
        self, z: torch.Tensor, step: float, data: torch.Tensor, c: Coefficients
    ) -> torch.Tensor:
        """Return the minimizer of ``|x - z|^2 / (2 step)``, fidelity and ``xi/2 |x|^2``.

        For real images ``Re F^* w F = F^* s F`` with the symmetric part ``s`` of the weights.
        """
        weights = torch.ones_like(data.real[0]) if c.weights is None else c.weights
        right = weights * data
        if not z.is_complex():
            right, weights = self.forward(self.adjoint(right, z)), symmetric(weights)
        spectrum = (self.forward(z) + step * right) / (1 + step * (weights + c.xi))
        return self.adjoint(spectrum, z)

    def symbol(
        self, weights: torch.Tensor | None, transform: Spectrum, curvatures: torch.Tensor, xi: float
    ) -> torch.Tensor:
        """Return weights, mean curvatures of the transform and ``xi``, added up."""
        symbol = transform.fourier_symbol(curvatures) + float(xi)
        return symbol + (1.0 if weights is None else weights)

    def preconditioner(
        self, weights: torch.Tensor | None, transform: Spectrum, curvatures: torch.Tensor, xi: float
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return division by `symbol`, for real images by its symmetric part."""
        symbol = self.symbol(weights, transform, curvatures, xi)
        axes = tuple(range(1, symbol.ndim))
        half = (1 / symmetric(symbol, len(axes)))[..., : symbol.shape[-1] // 2 + 1]
        whole = 1 / symbol

        def divided(v):
            if v.is_complex():
                return torch.fft.ifftn(torch.fft.fftn(v, dim=axes).mul_(whole), dim=axes)
            return torch.fft.irfftn(torch.fft.rfftn(v, dim=axes).mul_(half), v.shape[1:], dim=axes)

        return divided


def symmetric(weights, ndim=None):
    """Return ``(w(k) + w(-k)) / 2`` over the last ``ndim`` axes, by default all."""
    axes = tuple(range(-(weights.ndim if ndim is None else ndim), 0))
    return (weights + torch.roll(weights.flip(axes), (1,) * len(axes), axes)) / 2


def weighted(weights, r):
    """Return ``w r``."""
    return r if weights is None else weights * r


def residual(fidelity, x, data, c):
    """Return ``A x - y``, or raise ValueError unless data and weights have the shape of ``A x``."""
    image = fidelity.forward(x)
    if not isinstance(data, torch.Tensor) or data.is_complex() > image.is_complex():
        given = data.dtype if isinstance(data, torch.Tensor) else type(data).__name__
        raise TypeError(f"data is {given}, expected a tensor of {image.dtype} as A x.")
    if data.shape != image.shape:
        raise ValueError(
            f"data has shape {tuple(data.shape)}, expected {tuple(image.shape)} as A x; pass "
            "the same number of samples, and reshape it where it needs it."
        )
    shape = image.shape[1:] if c.weights is None else c.weights.shape
    if len(shape) < x.ndim - 1 or shape != image.shape[-len(shape) :]:
        raise ValueError(
            f"the weights have shape {tuple(shape)}, expected {tuple(image.shape[1:])}, that "
            "of the data of one sample; reshape or expand them in the coefficients."
        )
    return image - data


def largest(weights):
    """Return the largest weight as a float."""
    return 1.0 if weights is None else float(weights.max())


def smallest(weights):
    """Return the smallest weight as a float."""
    return 1.0 if weights is None else float(weights.min())


def real_products(a, b):
    """Return ``Re conj(a) b``, entry by entry."""
    if not a.is_complex():
        return a * b if not b.is_complex() else a * b.real
    return a.real * b.real + a.imag * b.imag if b.is_complex() else a.real * b


def squared_norms(x):
    """Return ``|x_i|^2`` for every sample, in double precision."""
    x = (torch.view_as_real(x.contiguous()) if x.is_complex() else x).double()
    return x.flatten(1).square().sum(1)
